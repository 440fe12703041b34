//! Finding the servers of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools;

/// Majors that are looked for.
const KNOWN: std::ops::RangeInclusive<u32> = 13..=19;

/// The programs of one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    major: u32,
    programs: PathBuf,
}

impl Installation {
    /// Every major found on this machine, oldest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        KNOWN.filter_map(Self::find).collect()
    }

    /// The programs of that major: what `cargo xtask tools` unpacked, then the system's packages,
    /// then the path.
    #[must_use]
    pub fn find(major: u32) -> Option<Self> {
        unpacked(major, &tools::folder().join("pg"))
            .or_else(|| Some(PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"))))
            .filter(|programs| programs.join("postgres").is_file())
            .or_else(|| on_path(major))
            .map(|programs| Self { major, programs })
    }

    /// The major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The folder of the programs.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// The path of one program of this folder.
    #[must_use]
    pub fn bin(&self, program: &str) -> PathBuf {
        self.programs.join(program)
    }

    /// Whoever has that program for servers of this major: this installation, or where it is of
    /// a server alone, the next newer one; this one when nobody has it.
    #[must_use]
    pub fn providing(&self, program: &str) -> Self {
        if self.bin(program).is_file() {
            return self.clone();
        }
        let newer = KNOWN.filter(|major| *major > self.major).filter_map(Self::find);
        newer.into_iter().find(|other| other.bin(program).is_file()).unwrap_or(self.clone())
    }

    /// Sets what the programs need: their own libraries, a fixed language and zone, and no
    /// connection settings inherited from whoever runs the tests.
    pub fn prepare(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        // Unpacked servers load libraries at run time that only this variable leads to.
        let libraries = self.programs.join("../lib");
        if libraries.join("libpq.so.5").exists() {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    }
}

fn unpacked(major: u32, servers: &Path) -> Option<PathBuf> {
    let (exact, prefix) = (format!("postgresql-{major}"), format!("postgresql-{major}."));
    std::fs::read_dir(servers)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name == exact.as_str() || name.starts_with(&prefix)
        })
        .map(|entry| entry.path().join("bin"))
        .find(|programs| programs.join("postgres").is_file())
}

fn on_path(major: u32) -> Option<PathBuf> {
    let server = tools::find_program("postgres")?;
    let version = Command::new(&server).arg("--version").output().ok()?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let number = version.split_whitespace().nth(2)?;
    let found: String = number.chars().take_while(char::is_ascii_digit).collect();
    (found == major.to_string()).then(|| server.parent().map(Path::to_path_buf)).flatten()
}
