//! Azurite, the emulator of Azure Blob Storage, from npm and pinned, for machines that have npm.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{run, works};

const VERSION: &str = "3.37.0";

/// Installs it into `folder/azurite` where it is missing and npm is there; says what it did.
pub(super) fn install(folder: &Path) -> Result<String> {
    let place = folder.join("azurite");
    if place.join("node_modules/azurite/dist/src/blob/main.js").is_file() {
        return Ok("there".to_owned());
    }
    if !works("npm", &["--version"]) || !works("node", &["--version"]) {
        return Ok("left out, as npm is not there to bring it".to_owned());
    }
    std::fs::create_dir_all(&place).context("cannot create its folder")?;
    let package = format!("azurite@{VERSION}");
    let installed = run(Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--silent", "--ignore-scripts", &package])
        .current_dir(&place));
    // A registry that cannot be reached costs these tests, not all the others.
    Ok(match installed {
        Ok(()) => VERSION.to_owned(),
        Err(error) => format!("left out: {error:#}"),
    })
}
