//! What a command costs: wall time, CPU of its process tree and of the database server, and the
//! largest memory of the tree at one moment.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use backup_testkit::postgres::Cluster;

/// Linux reports CPU time to programs in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE: u64 = 4096;

/// Seconds and bytes of one run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) wall: f64,
    /// CPU seconds of the command and everything it started.
    pub(crate) client: f64,
    /// CPU seconds of the database server meanwhile.
    pub(crate) server: f64,
    /// Bytes of resident memory of the whole tree, shared pages counted once per process.
    pub(crate) peak: u64,
}

/// Runs the command to its end. A failure carries the end of what it wrote.
pub(crate) fn measure(cluster: &Cluster, command: &mut Command) -> Result<Cost> {
    measure_on(cluster.process_id().context("the server is not running")?, command)
}

/// As [`measure`], beside the server of that process number.
pub(crate) fn measure_on(postmaster: u32, command: &mut Command) -> Result<Cost> {
    run(Some(postmaster), command)
}

/// Runs a command that has nothing to do with a database server to its end.
pub(crate) fn measure_alone(command: &mut Command) -> Result<Cost> {
    run(None, command)
}

fn run(postmaster: Option<u32>, command: &mut Command) -> Result<Cost> {
    let server = || postmaster.map_or(Ok(0.0), server_ticks);
    let shown = command.get_program().to_string_lossy().into_owned();
    let errors = tempfile::NamedTempFile::new()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors.reopen()?);
    let (server_before, own_before) = (server()?, children_ticks()?);
    let begun = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {shown}"))?;
    let peak = watch(&mut child)?;
    let status = child.wait()?;
    let wall = begun.elapsed().as_secs_f64();
    if !status.success() {
        let said = std::fs::read_to_string(errors.path()).unwrap_or_default();
        let end: Vec<&str> = said.lines().rev().take(15).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        bail!("{shown} ended with {status}:\n{}", end.join("\n"));
    }
    Ok(Cost {
        wall,
        client: (children_ticks()? - own_before) / TICKS_PER_SECOND,
        server: (server()? - server_before) / TICKS_PER_SECOND,
        peak,
    })
}

/// Bytes of all files below a folder, or of a file.
pub(crate) fn stored(path: &Path) -> Result<u64> {
    let about = std::fs::symlink_metadata(path)?;
    if !about.is_dir() {
        return Ok(about.len());
    }
    let mut sum = 0;
    for entry in std::fs::read_dir(path)? {
        sum += stored(&entry?.path())?;
    }
    Ok(sum)
}

/// Samples the tree's memory until the child has ended.
fn watch(child: &mut Child) -> Result<u64> {
    let ended = AtomicBool::new(false);
    let root = child.id();
    std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            while !ended.load(Ordering::Relaxed) {
                peak = peak.max(tree_memory(root));
                std::thread::sleep(Duration::from_millis(20));
            }
            peak
        });
        let status = child.wait();
        ended.store(true, Ordering::Relaxed);
        let peak = sampler.join().unwrap_or_default();
        status.map(|_| peak).context("waiting for the command")
    })
}

fn tree_memory(root: u32) -> u64 {
    let mut waiting = vec![root];
    let mut sum = 0;
    while let Some(pid) = waiting.pop() {
        sum += resident(pid);
        waiting.extend(children(pid));
    }
    sum
}

fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = text.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
    pages.unwrap_or_default() * PAGE
}

/// A process may be started by any thread of its parent.
fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks
        .filter_map(Result::ok)
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u32>>()
        })
        .collect()
}

/// Ended backends are counted by the postmaster that collected them, the others one by one.
fn server_ticks(postmaster: u32) -> Result<f64> {
    let living: f64 = children(postmaster)
        .into_iter()
        .filter_map(|pid| ticks(pid).ok())
        .map(|[own, _]| own)
        .sum();
    let [own, ended] = ticks(postmaster)?;
    Ok(own + ended + living)
}

/// CPU of the children this program has waited for, and of theirs.
fn children_ticks() -> Result<f64> {
    Ok(ticks(std::process::id())?[1])
}

/// CPU seconds that a process has used.
pub(crate) fn cpu(pid: u32) -> Result<f64> {
    Ok(ticks(pid)?[0] / TICKS_PER_SECOND)
}

/// Resident bytes of a process, at most so far.
pub(crate) fn peak(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let size = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    size.map(|size| size * 1024).context("/proc/PID/status")
}

/// Own CPU time, and that of collected children, in ticks.
fn ticks(pid: u32) -> Result<[f64; 2]> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name, in parentheses, may contain spaces.
    let (_, fields) = text.rsplit_once(')').context("/proc/PID/stat")?;
    let numbers: Vec<f64> =
        fields.split_whitespace().skip(11).take(4).filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [user, system, child_user, child_system] => Ok([user + system, child_user + child_system]),
        _ => bail!("/proc/PID/stat has too few fields"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_command_with_memory_is_seen_as_such() {
        let Some(cluster) = Cluster::start_newest() else { return };
        let mut command = cluster.command("psql");
        command.args(["-Xc", "select sum(sqrt(g)) from generate_series(1, 3000000) g"]);
        command.env("PGDATABASE", "postgres");
        let cost = measure(&cluster, &mut command).unwrap();
        assert!(cost.wall > 0.0);
        assert!(cost.server >= 0.05, "{cost:?}");
        assert!(cost.peak > 1_000_000, "{cost:?}");

        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let cost = measure(&cluster, Command::new("bash").args(["-c", script])).unwrap();
        assert!(cost.client >= 0.05, "{cost:?}");
        let error = measure(&cluster, Command::new("bash").args(["-c", "echo why >&2; false"]));
        assert!(error.unwrap_err().to_string().contains("why"));
    }
}
