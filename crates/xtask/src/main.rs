//! The task runner: what a developer or the automation does besides `cargo build`.
//!
//! It installs what a fresh Debian 12 machine lacks, runs every check, and shows the product at
//! work. It is not part of the product: nothing here is shipped.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a task runner talks to people")]

mod bench_files;
mod bench_fleet;
mod bench_mysql;
mod bench_peers;
mod bench_physical;
mod command;
mod ctl;
mod demo;
mod drills;
mod graph;
mod machine;
mod shop;
mod test;
mod tools;
mod workspace;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask TASK

  tools [--bench] [--fuzz]        install what this machine lacks (idempotent)
  test [--only STEP,…]            install what is missing, then run every check and test
  demo [--size-mb N] [--release]  back up, lose and restore a throw-away database
  drills [--rounds N]             100 drills that must pass, 100 corruptions that must be caught
  bench-peers [--size-mb N] [--rounds N] [--only PART,…] [--program BACKUPCTL]
                                  compare with other tools; writes docs/benchmarks.md
  bench-mysql [--size-mb N] [--rounds N] [--program BACKUPCTL]
                                  compare with mydumper and mariadb-dump; writes
                                  docs/benchmarks-mysql.md
  bench-physical [--size-mb N] [--rounds N] [--only PART,…] [--program BACKUPCTL]
                                  the same for clusters and WAL, as root; writes
                                  docs/benchmarks-physical.md
  bench-files [--files N] [--rounds N] [--only TREE,…] [--program BACKUPCTL]
                                  the same for trees of files; writes docs/benchmarks-files.md
  bench-fleet [--sources N] [--seconds N] [--clients N] [--world FOLDER]
                                  measure a daemon with many made-up sources
  graph                           hold the crate graph to its rules
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    match task {
        "bench-files" => bench_files::main(rest),
        "bench-fleet" => bench_fleet::main(rest),
        "bench-mysql" => bench_mysql::main(rest),
        "bench-peers" => bench_peers::main(rest),
        "bench-physical" => bench_physical::main(rest),
        "demo" => demo::main(rest),
        "drills" => drills::main(rest),
        "graph" => graph::main(rest),
        "test" => test::main(rest),
        "tools" => tools::main(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("unknown task {other:?}\n\n{HELP}"),
    }
}
