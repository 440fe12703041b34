//! Archiving segments, one command each, and what a command costs that has nothing to do.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use backup_testkit::postgres::Cluster;

use super::daemon::Daemon;
use super::peer::{Peer, Place};
use super::{Bench, settle, work};
use crate::bench_peers::measure::{self, measure};
use crate::bench_peers::retire::retire;
use crate::bench_peers::table::{Series, megabytes};

const SEGMENTS: usize = 48;
/// Commands that have nothing to do, timed together.
const IDLE: usize = 40;

const WAYS: [&str; 6] = [
    "dd conv=fsync",
    "backupctl wal push, write-only key",
    "backupctl wal push, passphrase",
    "pgbackrest archive-push",
    "pgbackrest archive-push, archive-async=y",
    "backupctl wal push through backupd",
];

const IDLE_NAMES: [&str; 4] = [
    "/bin/true",
    "wal push of a file stored before, write-only key",
    "wal fetch of what is not there, passphrase",
    "pgbackrest archive-get of what is not there",
];

pub(super) fn run(bench: &Bench) -> Result<String> {
    let cluster = bench.start(&[])?;
    work::create_bank(&cluster, "20")?;
    let folder = bench.folder.join("segments");
    let source = folder.join("pg_wal");
    let paths = work::segments(&cluster, &source, SEGMENTS)?;
    // What asynchronous archiving looks for is a data directory with a queue.
    std::fs::create_dir_all(folder.join("global"))?;
    std::fs::create_dir_all(source.join("archive_status"))?;
    let control = "global/pg_control";
    std::fs::copy(cluster.data_directory().join(control), folder.join(control))?;
    let size: u64 = paths.iter().map(|path| measure::stored(path).unwrap_or_default()).sum();
    let mut series = vec![Series::default(); WAYS.len()];
    let mut idle = vec![Series::default(); 4];
    for round in 0..bench.rounds {
        let mut order: Vec<usize> = (0..WAYS.len()).collect();
        order.rotate_left(round as usize % WAYS.len());
        for way in order {
            let place = place(bench, &cluster, way, round, &folder)?;
            let daemon = match (&bench.daemon, way) {
                (Some(program), 5) => {
                    Some(Daemon::start(program, &place, &place.folder.join("state"))?)
                }
                (None, 5) => continue,
                _ => None,
            };
            settle(&cluster)?;
            let before = daemon.as_ref().map(|daemon| measure::cpu(daemon.process_id()));
            let mut cost = measure(&cluster, &mut push(&place, way, &source))?;
            if let (Some(daemon), Some(before)) = (&daemon, before) {
                cost.client += measure::cpu(daemon.process_id())? - before?;
                cost.peak += measure::peak(daemon.process_id())?;
            }
            drop(daemon);
            let stored = measure::stored(&place.folder.join("repository"))?;
            println!("  round {round} {:<42} {:>6.1} segments/s", WAYS[way], rate(cost.wall));
            series[way].push(cost, stored);
            for (number, mut command) in idle_commands(&place, way) {
                idle[number].push(measure(&cluster, &mut command)?, 0);
            }
            retire(&place.folder)?;
        }
    }
    retire(&folder)?;
    Ok(section(&series, &idle, size))
}

fn rate(wall: f64) -> f64 {
    SEGMENTS as f64 / wall
}

/// A repository of its own for a way, prepared.
fn place<'a>(
    bench: &'a Bench,
    cluster: &'a Cluster,
    way: usize,
    round: u32,
    data: &Path,
) -> Result<Place<'a>> {
    let folder = bench.folder.join(format!("push-{way}-{round}"));
    let place = Place { cluster, program: bench.program.as_path(), folder };
    std::fs::create_dir_all(place.folder.join("repository"))?;
    match way {
        0 => {}
        1 | 2 | 5 => {
            Peer::Local.prepare(&place)?;
            let key = place.folder.join("writer.key").display().to_string();
            let words = ["key", "add", "--write-only", "--key-file", &key, "--label", "server"];
            crate::command::capture(&mut place.ours().command(&words))?;
        }
        _ => {
            Peer::PgBackRest.prepare(&place)?;
            let more = if way == 4 { "archive-async=y\n" } else { "" };
            place.pgbackrest_config("archive", data, false, more)?;
        }
    }
    // The queue that the server keeps.
    let status = data.join("pg_wal/archive_status");
    std::fs::remove_dir_all(&status)?;
    std::fs::create_dir(&status)?;
    for entry in std::fs::read_dir(data.join("pg_wal"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.len() == 24 {
            std::fs::write(status.join(name + ".ready"), "")?;
        }
    }
    Ok(place)
}

/// Archives every segment, as the server's archiver would: one command after the other.
fn push(place: &Place<'_>, way: usize, source: &Path) -> Command {
    let each = match way {
        0 => "dd if=$f of=repository/${f##*/} bs=1M conv=fsync status=none",
        1 | 2 => "$BACKUPCTL -q wal push --no-daemon $f",
        // The daemon's word alone: no key is there to do it without.
        5 => "$BACKUPCTL -q wal push $f",
        _ => "pgbackrest --config=$PWD/archive --stanza=shop archive-push $f",
    };
    // Where nothing looks ahead, the server's note costs a millisecond that the others have too.
    let done = match way {
        4 | 5 => "mv ${f%/*}/archive_status/${f##*/}.ready ${f%/*}/archive_status/${f##*/}.done",
        _ => "true",
    };
    let script = format!("for f in {}/0*; do {each}; {done}; done", source.display());
    looped(place, way, &script)
}

/// Commands that find that there is nothing to do, by number of their row.
fn idle_commands(place: &Place<'_>, way: usize) -> Vec<(usize, Command)> {
    let times = |each: &str| format!("for i in $(seq {IDLE}); do {each}; done");
    let absent = "0000000100000FFF00000001";
    match way {
        0 => vec![(0, looped(place, way, &times("/bin/true")))],
        1 => vec![
            (1, looped(place, way, &times("$BACKUPCTL -q wal push tiny/00000002.history"))),
            (
                2,
                looped(
                    place,
                    2,
                    &times(&format!("$BACKUPCTL -q wal fetch {absent} x || test $? = 1")),
                ),
            ),
        ],
        3 => vec![(
            3,
            looped(
                place,
                way,
                &times(&format!(
                    "pgbackrest --config=$PWD/archive --stanza=shop archive-get {absent} $PWD/x || test $? = 1"
                )),
            ),
        )],
        _ => Vec::new(),
    }
}

/// A shell loop with what our program needs in its environment.
fn looped(place: &Place<'_>, way: usize, script: &str) -> Command {
    let mut command = place.shell(&format!(
        "mkdir -p tiny/global; printf '1\\t0/1\\tx\\n' > tiny/00000002.history; {script}"
    ));
    let ours = place.ours().command(&[]);
    for (name, value) in ours.get_envs() {
        // The path stays that of the shell.
        if let (Some(value), false) = (value, name == "PATH") {
            command.env(name, value);
        }
    }
    command.env("BACKUPCTL", place.program);
    if way == 1 {
        command.env_remove("BACKUP_PASSPHRASE");
        command.env("BACKUP_KEY_FILE", place.folder.join("writer.key"));
    }
    if way == 5 {
        command.env_remove("BACKUP_PASSPHRASE");
        command.env("BACKUPD_STATE", place.folder.join("state"));
    }
    command
}

fn section(series: &[Series], idle: &[Series], size: u64) -> String {
    let mut text = format!(
        "## Archiving segments\n\n{SEGMENTS} segments of 16 MiB that pgbench and rewritten tables filled, one \
         command each, as `archive_command` would run them.\n`dd` copies and syncs one file: no compression, \
         no encryption, no rename. With archive-async=y pgBackRest answers when the\nsegment is \
         stored, by a process of its own that looks ahead and whose CPU is not in the table. \
         backupd stores ahead as well; its CPU and memory are.\n\n\
         | way | segments/s | of dd | CPU s | peak MiB | stored MB |\n|---|--:|--:|--:|--:|--:|\n"
    );
    let of_dd = |way: usize| series[0].wall() / series[way].wall();
    let measured =
        WAYS.iter().zip(series).enumerate().filter(|(_, (_, series))| !series.is_empty());
    for (way, (name, series)) in measured {
        let _ = writeln!(
            text,
            "| {name} | {:.1} | {:.2} | {:.2} | {:.0} | {:.0} |",
            rate(series.wall()),
            of_dd(way),
            series.client(),
            series.peak() as f64 / 1_048_576.0,
            megabytes(series.bytes())
        );
    }
    let _ = write!(
        text,
        "\n{:.0} MB of WAL in all. One command that has nothing to do, from start to end, milliseconds:\n\n\
         | command | ms |\n|---|--:|\n",
        megabytes(size)
    );
    for (name, series) in IDLE_NAMES.iter().zip(idle) {
        let _ = writeln!(text, "| {name} | {:.1} |", series.wall() * 1000.0 / IDLE as f64);
    }
    text.push('\n');
    let mut targets = vec![
        ("wal push, write-only key, of dd's rate", of_dd(1), 0.75),
        ("wal push, passphrase, of dd's rate", of_dd(2), 0.75),
    ];
    if !series[5].is_empty() {
        targets.push(("wal push through backupd, of dd's rate", of_dd(5), 0.75));
    }
    text.push_str(&super::document::floors(&targets));
    text
}
