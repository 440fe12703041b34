//! `cargo xtask bench-mysql`: the same MariaDB database through our program and through what
//! people use today, in one interleaved run; the table goes to `docs/benchmarks-mysql.md`.

mod peer;

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use backup_testkit::mariadb::MariaDb;

use crate::bench_peers::measure::{measure_on, stored};
use crate::bench_peers::retire::retire;
use crate::bench_peers::table::{self, Series};
use crate::command::capture;
use crate::ctl::{self, Profile};
use crate::{machine, tools, workspace};
use peer::{Peer, Place};

/// Rows of a megabyte of the larger table.
const ROWS_PER_MEGABYTE: u64 = 6000;

/// The command line of `cargo xtask bench-mysql`.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let options = Options::read(arguments)?;
    tools::install(tools::Wanted { bench: true, fuzz: false })?;
    let program = match &options.program {
        Some(path) => path.clone(),
        None => ctl::build(Profile::Release)?,
    };
    let settings = ["--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M"];
    let server = MariaDb::start(&settings).context("MariaDB is not installed")?;
    fill(&server, options.megabytes)?;
    let folder = tempfile::Builder::new().prefix("backup-bench-").tempdir()?;
    let mut all: Vec<(Peer, Series, Series)> =
        Peer::ALL.map(|peer| (peer, Series::default(), Series::default())).into();
    for round in 0..options.rounds {
        for (peer, backups, restores) in &mut all {
            let place = Place {
                server: &server,
                program: &program,
                folder: folder.path().join(format!("{peer:?}-{round}")),
            };
            peer.prepare(&place)?;
            let number = server.process_id().context("the server is not running")?;
            let cost = measure_on(number, &mut peer.back_up(&place))?;
            backups.push(cost, stored(&place.folder)?);
            server.try_sql("", "DROP DATABASE IF EXISTS fresh; CREATE DATABASE fresh")?;
            restores.push(measure_on(number, &mut peer.restore(&place))?, 0);
            check(&server)?;
            retire(&place.folder)?;
        }
    }
    let text = document(&options, &program, &all)?;
    let path = workspace::root()?.join("docs/benchmarks-mysql.md");
    std::fs::write(&path, text)?;
    println!("bench-mysql: wrote {}", path.display());
    Ok(())
}

/// Two tables of a shop: one by a number, with two indexes; one by a text, with wider rows.
fn fill(server: &MariaDb, megabytes: u64) -> Result<()> {
    let rows = megabytes * ROWS_PER_MEGABYTE * 2 / 3;
    let wide = megabytes * 1000 / 3;
    let sql = format!(
        "CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop;
         CREATE TABLE orders (id bigint PRIMARY KEY AUTO_INCREMENT, customer int NOT NULL,
           placed datetime(6) NOT NULL, total decimal(12,2) NOT NULL, state varchar(12) NOT NULL,
           note varchar(120), KEY customer (customer), KEY placed (placed));
         INSERT INTO orders (customer, placed, total, state, note)
           SELECT RAND(seq) * 100000, '2026-01-01' + INTERVAL seq SECOND, RAND() * 1000,
             ELT(1 + seq MOD 4, 'new', 'paid', 'sent', 'returned'), CONCAT(MD5(seq), ' ', SHA1(seq))
           FROM seq_1_to_{rows};
         CREATE TABLE documents (code char(32) PRIMARY KEY, title varchar(100) NOT NULL,
           body mediumtext NOT NULL, KEY title (title));
         INSERT INTO documents SELECT MD5(seq), CONCAT('Document ', seq),
             REPEAT(CONCAT(SHA1(seq), ' lorem ipsum dolor '), 16) FROM seq_1_to_{wide};
         ANALYZE TABLE orders, documents;"
    );
    server.try_sql("", &sql)?;
    Ok(())
}

/// What came back is what was there, or the time it took means nothing.
fn check(server: &MariaDb) -> Result<()> {
    let sums = |database: &str| {
        server.try_sql(
            database,
            "SELECT COUNT(*), SUM(CRC32(CONCAT_WS('|', id, customer, placed, total, state, note))) \
             FROM orders; SELECT COUNT(*), SUM(CRC32(CONCAT_WS('|', code, title, body))) \
             FROM documents",
        )
    };
    let (was, is) = (sums("shop")?, sums("fresh")?);
    if was != is {
        bail!("the restored database differs: {is:?}, not {was:?}");
    }
    Ok(())
}

fn document(
    options: &Options,
    program: &std::path::Path,
    all: &[(Peer, Series, Series)],
) -> Result<String> {
    let mut text = String::from(
        "# Benchmarks: MySQL and MariaDB\n\nWritten by `cargo xtask bench-mysql`; run it to get the \
         numbers of your own machine.\n\n",
    );
    let date = capture(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let _ = writeln!(text, "- {}, measured {}", machine::describe()?, date.trim());
    let _ = writeln!(text, "- {}, release build", machine::first_line(program, "--version"));
    for (program, argument) in
        [("mariadbd", "--version"), ("mydumper", "--version"), ("zstd", "--version")]
    {
        let path = machine::find_program(program).unwrap_or_default();
        let _ = writeln!(text, "- {}", machine::first_line(&path, argument));
    }
    let _ = write!(
        text,
        "- About {} MB of rows in two tables: one by a number, with two more indexes, and one by a \
         text.\n- {} rounds in turn, medians with the smallest and the largest; server and tools on \
         one machine, nothing waits for the disk. Each restored database was compared with the \
         source.\n- mydumper compresses with gzip and does not encrypt; the pipe encrypts without \
         authenticating; backupctl encrypts, authenticates and deduplicates, and reads back what the \
         server counted.\n\n",
        options.megabytes, options.rounds
    );
    text.push_str("| tool | backup | restore |\n|---|---|---|\n");
    for peer in Peer::ALL {
        let lines = peer.lines().map(|line| format!("`{}`", line.replace('|', "\\|")));
        let _ = writeln!(text, "| {} | {} |", peer.name(), lines.join(" | "));
    }
    let rows = |of: fn(&(Peer, Series, Series)) -> &Series| -> Vec<(&str, &Series)> {
        all.iter().map(|one| (one.0.name(), of(one))).collect()
    };
    let (backups, restores) = (rows(|one| &one.1), rows(|one| &one.2));
    let _ = write!(
        text,
        "\n## Backup\n\n{}\n## Restore\n\n{}",
        table::tools(&backups, Some("stored")),
        table::tools(&restores, None)
    );
    Ok(text)
}

/// What was asked for.
struct Options {
    megabytes: u64,
    rounds: u32,
    program: Option<PathBuf>,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self> {
        let mut options = Self { megabytes: 300, rounds: 3, program: None };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let value = || format!("{word} needs a value");
            match word.as_str() {
                "--size-mb" => options.megabytes = words.next().with_context(value)?.parse()?,
                "--rounds" => options.rounds = words.next().with_context(value)?.parse()?,
                "--program" => options.program = Some(words.next().with_context(value)?.into()),
                other => bail!(
                    "bench-mysql: unknown option {other:?}; known: --size-mb N --rounds N --program \
                     BACKUPCTL"
                ),
            }
        }
        Ok(options)
    }
}
