//! Short runs of every fuzz target: enough to find what is plainly wrong, and to keep the targets
//! compiling.

use anyhow::{Result, bail};

use super::count::Count;
use super::session::Session;
use crate::command::capture;

const SECONDS_PER_TARGET: u32 = 12;

/// Real bytes to start from, besides `fuzz/corpus`.
const SEEDS: [&str; 3] = [
    "crates/backup-crypto/tests/golden",
    "crates/backup-repository/tests/fixtures",
    "crates/backup-postgres/tests/golden",
];

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
        // New finds go to the first folder; the seeds are only read.
        let corpus = session.root().join("fuzz/corpus").join(target);
        std::fs::create_dir_all(&corpus)?;
        let mut run = session.cargo(&["fuzz", "run", target]);
        run.args(common).arg(corpus).args(SEEDS.map(|folder| session.root().join(folder)));
        run.args(["--", &limit, "-rss_limit_mb=2048", "-max_len=65536", "-verbosity=0"]);
        let one = session.check_quietly(run.env("RUSTC_BOOTSTRAP", "1"))?;
        println!("fuzz target {target}: {one}");
        count = count + one;
    }
    Ok(count)
}
