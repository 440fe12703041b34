//! Short runs of every fuzz target: enough to find what is plainly wrong, and to keep the targets
//! compiling.

use anyhow::{Result, bail};

use super::count::Count;
use super::session::Session;
use crate::command::capture;

const SECONDS_PER_TARGET: u32 = 12;

/// Builds all targets, then runs each for a few seconds; a crash is a failure and leaves its
/// input in `fuzz/artifacts`.
pub(super) fn fuzz(session: &Session) -> Result<Count> {
    let listed = capture(&mut session.cargo(&["fuzz", "list"]))?;
    let targets: Vec<&str> = listed.split_whitespace().collect();
    if targets.is_empty() {
        bail!("`cargo fuzz list` names no target");
    }
    let folder = session.target().join("fuzz").display().to_string();
    // The sanitizer needs a nightly standard library; the fuzzer itself does not.
    let common = ["--sanitizer", "none", "--target-dir", &folder];
    let built =
        session.show(session.cargo(&["fuzz", "build"]).args(common).env("RUSTC_BOOTSTRAP", "1"))?;
    if !built.success {
        bail!("the fuzz targets do not build");
    }
    let limit = format!("-max_total_time={SECONDS_PER_TARGET}");
    let mut count = Count::default();
    for target in targets {
        let mut run = session.cargo(&["fuzz", "run", target]);
        run.args(common).args(["--", &limit, "-rss_limit_mb=2048", "-verbosity=0"]);
        let one = session.check(run.env("RUSTC_BOOTSTRAP", "1"))?;
        println!("fuzz target {target}: {one}");
        count = count + one;
    }
    Ok(count)
}
