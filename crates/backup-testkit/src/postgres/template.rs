//! `initdb` once per installed version; every cluster starts as a copy of its result.

use std::fs::File;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::home::server_user;
use super::installation::Installation;
use crate::{process, tools};

/// Copies the template of that installation to `target`, making it first when needed.
pub(super) fn copy_to(
    installation: &Installation,
    segment_mib: Option<u32>,
    target: &Path,
) -> io::Result<()> {
    let template = provide(installation, segment_mib)?;
    // `cp` keeps owner and modes, and shares blocks where the file system can.
    let mut copy = Command::new("cp");
    run(copy.args(["-a", "--reflink=auto"]).arg(&template).arg(target), "copying a new cluster")
}

fn provide(installation: &Installation, segment_mib: Option<u32>) -> io::Result<PathBuf> {
    let cache = cache_folder()?;
    let special = segment_mib.map(|size| format!("-wal{size}")).unwrap_or_default();
    let template = cache.join(format!("{}{special}", name(installation)?));
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(template.with_extension("lock"))?;
    lock.lock()?;
    if !template.join("PG_VERSION").is_file() {
        make(installation, segment_mib, &template)?;
    }
    Ok(template)
}

/// The cache survives test runs; where it cannot be written, the temporary folder serves.
fn cache_folder() -> io::Result<PathBuf> {
    let cache = tools::folder().join("cache");
    match std::fs::create_dir_all(&cache).and_then(|()| tempfile::tempfile_in(&cache)) {
        Ok(_) => Ok(cache),
        Err(_) => {
            let cache = std::env::temp_dir().join("backup-testkit-cache");
            std::fs::create_dir_all(&cache)?;
            Ok(cache)
        }
    }
}

/// Different builds and different users never share a template.
fn name(installation: &Installation) -> io::Result<String> {
    let mut command = Command::new(installation.bin("postgres"));
    installation.prepare(&mut command);
    let version = command.arg("--version").output()?.stdout;
    let version: String = String::from_utf8_lossy(&version)
        .chars()
        .filter(|sign| sign.is_ascii_alphanumeric() || *sign == '.')
        .collect();
    let user = server_user().map_or_else(|| "own".to_owned(), |(user, _)| user.to_string());
    Ok(format!("initdb-1-{version}-{user}"))
}

fn make(installation: &Installation, segment_mib: Option<u32>, template: &Path) -> io::Result<()> {
    let scratch = tempfile::Builder::new()
        .prefix("initdb-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(template.parent().unwrap_or_else(|| Path::new("/tmp")))?;
    if let Some((user, group)) = server_user() {
        chown(scratch.path(), Some(user), Some(group))?;
    }
    let data = scratch.path().join("data");
    let mut command = process::wrapped(&installation.bin("initdb"), None, true);
    installation.prepare(&mut command);
    command
        .arg("-D")
        .arg(&data)
        .args(["-U", "postgres", "-A", "trust", "-k", "--no-sync"])
        .args(["-E", "UTF8", "--locale=C.UTF-8"])
        .args(segment_mib.map(|size| format!("--wal-segsize={size}")))
        .current_dir(scratch.path());
    run(&mut command, "initdb")?;
    if template.exists() {
        std::fs::remove_dir_all(template)?;
    }
    std::fs::rename(data, template)
}

fn run(command: &mut Command, what: &str) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("{what} failed ({}): {said}", output.status)))
}
