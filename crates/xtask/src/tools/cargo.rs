//! Tools that are themselves Rust programs.

use std::process::Command;

use anyhow::Result;

use crate::command::{run, works};

/// Installs cargo-fuzz unless it is there.
pub(super) fn install_fuzz() -> Result<String> {
    if works("cargo", &["fuzz", "--version"]) {
        return Ok("there".to_owned());
    }
    run(Command::new("cargo").args(["install", "cargo-fuzz", "--locked", "--quiet"]))?;
    Ok("installed".to_owned())
}
