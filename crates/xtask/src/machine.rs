//! Facts about this machine: who runs, and what is on the path.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command::capture;

/// The user id of this process.
pub(crate) fn uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |own| own.uid())
}

/// True when this process may do everything.
pub(crate) fn is_root() -> bool {
    uid() == 0
}

/// The first executable of that name on the path, `sbin` folders included.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
}

/// Processor, memory and kernel of this machine, in one line.
pub(crate) fn describe() -> Result<String> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name").and_then(|rest| rest.split_once(": ")))
        .map_or("unknown CPU", |(_, model)| model);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = memory.split_whitespace().nth(1).and_then(|word| word.parse::<f64>().ok());
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "{model}, {cores} cores, {:.0} GiB, Linux {}, local disk",
        kilobytes.unwrap_or_default() / 1_048_576.0,
        first_line(Path::new("uname"), "-r")
    ))
}

/// The first line that a program says about itself.
pub(crate) fn first_line(program: &Path, argument: &str) -> String {
    let text = capture(Command::new(program).arg(argument)).unwrap_or_default();
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("not found").trim().to_owned()
}
