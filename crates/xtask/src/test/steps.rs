//! The steps that are one call of cargo.

use anyhow::Result;

use super::count::Count;
use super::session::Session;
use crate::command::works;
use crate::{graph, tools};

/// What is off by default is tested too; builds of programs alone show the default.
const FEATURES: &str = "--features=backupd/otlp";

/// Everything the other steps need; no more is downloaded after this but crates.
pub(super) fn tools(_: &Session) -> Result<Count> {
    tools::install(tools::Wanted { bench: false, fuzz: true })?;
    Ok(Count::ONE)
}

pub(super) fn fmt(session: &Session) -> Result<Count> {
    session.check(&mut session.cargo(&["fmt", "--all", "--check"]))
}

pub(super) fn graph(_: &Session) -> Result<Count> {
    println!("{}", graph::check()?);
    Ok(Count::ONE)
}

pub(super) fn clippy(session: &Session) -> Result<Count> {
    let words = ["clippy", "--workspace", "--all-targets", FEATURES, "--locked", "--quiet", "--"];
    session.check(session.cargo(&words).args(["-D", "warnings"]))
}

/// By nextest where it is installed (a process per test), else by cargo itself.
pub(super) fn tests(session: &Session) -> Result<Count> {
    if works("cargo", &["nextest", "--version"]) {
        let words = ["nextest", "run", "--workspace", FEATURES, "--locked", "--no-fail-fast"];
        let shown = ["--cargo-quiet", "--status-level", "fail", "--final-status-level", "slow"];
        return session.count(session.cargo(&words).args(shown));
    }
    let words =
        ["test", "--workspace", "--tests", FEATURES, "--locked", "--no-fail-fast", "--quiet"];
    session.count(&mut session.cargo(&words))
}

pub(super) fn doctests(session: &Session) -> Result<Count> {
    let words = ["test", "--workspace", "--doc", "--locked", "--no-fail-fast", "--quiet"];
    session.count(&mut session.cargo(&words))
}

pub(super) fn docs(session: &Session) -> Result<Count> {
    let words = ["doc", "--workspace", "--no-deps", "--locked", "--quiet"];
    session.check(session.cargo(&words).env("RUSTDOCFLAGS", "-D warnings"))
}
