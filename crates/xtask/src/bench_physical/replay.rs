//! Replaying archived WAL: the same copy of a cluster, the same segments, from different archives.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use backup_testkit::postgres::Cluster;

use super::peer::{Peer, Place};
use super::{Bench, MAJOR, document, settle, work};
use crate::bench_peers::measure::Cost;
use crate::bench_peers::retire::retire;
use crate::bench_peers::table::Series;
use crate::command::run as run_command;

const SEGMENTS: usize = 48;
const PATIENCE: Duration = Duration::from_secs(300);
const WAYS: [&str; 3] = ["cp", "backupctl wal fetch", "pgbackrest archive-get"];

pub(super) fn run(bench: &Bench) -> Result<String> {
    let cluster = bench.start(&[("wal_keep_size", "4GB")])?;
    work::create_bank(&cluster, "20")?;
    let folder = bench.folder.join("replay");
    let place =
        Place { cluster: &cluster, program: bench.program.as_path(), folder: folder.clone() };
    let theirs =
        Place { cluster: &cluster, program: bench.program.as_path(), folder: folder.join("peer") };
    Peer::Local.prepare(&place)?;
    Peer::PgBackRest.prepare(&theirs)?;
    let base = folder.join("base");
    settle(&cluster)?;
    run_command(&mut Peer::Local.full(&place))?;
    run_command(&mut Peer::Local.restore(&place, "full", &base))?;
    let archive = folder.join("archive");
    let paths = work::segments(&cluster, &archive, SEGMENTS)?;
    // From the copy on: what was written before the first of these is in the directory's log.
    let between = cluster.data_directory().join("pg_wal");
    for entry in std::fs::read_dir(&between)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.len() == 24
            && paths.last().is_some_and(|last| last.ends_with(&name) || *last > archive.join(&name))
        {
            std::fs::copy(between.join(&name), archive.join(&name))?;
            let path = archive.join(&name).display().to_string();
            run_command(&mut place.ours().command(&["-q", "wal", "push", &path]))?;
            let data = format!("--pg1-path={}", cluster.data_directory().display());
            run_command(&mut theirs.pgbackrest("conf", &[&data, "archive-push", &path]))?;
        }
    }
    work::give(&folder)?;
    let end = paths.last().and_then(|path| path.file_name()).context("no segments")?;
    let end = end.to_string_lossy().into_owned();
    let mut series = vec![Series::default(); WAYS.len()];
    for round in 0..bench.rounds {
        let mut order: Vec<usize> = (0..WAYS.len()).collect();
        order.rotate_left(round as usize % WAYS.len());
        for way in order {
            let restore = restore_command(way, &place, &theirs, &archive);
            let wall = replay(&base, &restore, &end)?;
            println!("  round {round} {:<26} {wall:>6.2} s", WAYS[way]);
            series[way].push(Cost { wall, ..Cost::default() }, 0);
        }
    }
    retire(&folder)?;
    Ok(section(&series))
}

fn restore_command(way: usize, ours: &Place<'_>, theirs: &Place<'_>, archive: &Path) -> String {
    match way {
        0 => format!("cp {}/%f %p", archive.display()),
        1 => {
            let command = ours.ours().command(&[]);
            let mut line = String::new();
            for (name, value) in command.get_envs() {
                let wanted = name.to_string_lossy().starts_with("BACKUP_");
                if let (Some(value), true) = (value, wanted) {
                    let _ = write!(line, "{}='{}' ", name.display(), value.display());
                }
            }
            format!("{line}{} -q wal fetch %f %p", ours.program.display())
        }
        _ => format!(
            // The copy lies elsewhere than the server it was taken of.
            "pgbackrest --config={}/conf --stanza=shop --pg1-path=\"$PWD\" archive-get %f %p",
            theirs.folder.display()
        ),
    }
}

/// Seconds from the start of a server on a copy of `base` until its recovery ended, having
/// replayed the segment named `end`.
fn replay(base: &Path, restore: &str, end: &str) -> Result<f64> {
    let mut begun = Instant::now();
    let copy = Cluster::builder(MAJOR)
        .setting("shared_buffers", "512MB")
        .setting("max_wal_size", "8GB")
        .setting("checkpoint_timeout", "1h")
        .setting("hot_standby", "off")
        .setting("archive_mode", "off")
        .try_start_from(|data| {
            run_command(Command::new("cp").arg("-a").arg(base).arg(data))
                .map_err(std::io::Error::other)?;
            std::fs::write(data.join("recovery.signal"), "")?;
            // A restored directory has its own settings there, which come last.
            let settings = data.join("postgresql.auto.conf");
            let mut text = std::fs::read_to_string(&settings)?;
            let _ = writeln!(text, "restore_command = '{}'", restore.replace('\'', "''"));
            std::fs::write(&settings, text)?;
            run_command(&mut Command::new("sync")).map_err(std::io::Error::other)?;
            // Giving the copy to the server's user comes after this, some hundredths of a second.
            begun = Instant::now();
            Ok(())
        })?;
    // Without hot standby a server is ready when its recovery has ended; it says so in this file. To
    // ask it by a program would keep a core busy.
    let status = copy.data_directory().join("postmaster.pid");
    let is_ready = || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        text.lines().last().is_some_and(|line| line.trim_end() == "ready")
    };
    while !is_ready() {
        ensure!(begun.elapsed() < PATIENCE, "recovery does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    let wall = begun.elapsed().as_secs_f64();
    let log = std::fs::read_to_string(copy.log())?;
    ensure!(
        log.contains(&format!("restored log file \"{end}\"")),
        "{end} was not replayed:\n{log}"
    );
    Ok(wall)
}

fn section(series: &[Series]) -> String {
    let mut text = format!(
        "## Replaying segments\n\nA server on a restored copy, from its start until its recovery ended: {SEGMENTS} segments of 16 MiB \
         from the archive, as\n`restore_command` fetches them.\n\n| restore_command | s | of cp |\n|---|--:|--:|\n"
    );
    let cp = series[0].wall();
    for (name, series) in WAYS.iter().zip(series) {
        let _ = writeln!(text, "| {name} | {:.2} | {:.2} |", series.wall(), series.wall() / cp);
    }
    text.push('\n');
    text.push_str(&document::verdicts(&[("wal fetch ÷ cp", series[1].wall() / cp, 1.1)]));
    text
}
