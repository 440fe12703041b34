//! `promtool` out of Debian's package, unpacked and not installed: nobody wants a Prometheus to run
//! because rules are checked.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{run, works};

/// Provides `promtool` on the path or in the folder's `bin`; says where from.
pub(super) fn install(folder: &Path) -> Result<String> {
    let program = folder.join("bin/promtool");
    if works("promtool", &["--version"]) || works(&program.to_string_lossy(), &["--version"]) {
        return Ok("there".to_owned());
    }
    let scratch = folder.join("promtool");
    std::fs::create_dir_all(&scratch)?;
    let fetched =
        run(Command::new("apt-get").args(["download", "-qq", "prometheus"]).current_dir(&scratch));
    fetched.context("apt-get download prometheus; run `apt-get update` first")?;
    let package = std::fs::read_dir(&scratch)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "deb"));
    let Some(package) = package else { bail!("apt-get left no package") };
    run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&scratch))?;
    std::fs::create_dir_all(folder.join("bin"))?;
    std::fs::copy(scratch.join("usr/bin/promtool"), &program)?;
    std::fs::remove_dir_all(&scratch)?;
    Ok("unpacked".to_owned())
}
