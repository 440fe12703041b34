//! Finding a program of the right major version.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, Result};
use tokio::process::Command;

/// Folders that hold one subfolder per major version, and what follows in each.
const VERSIONED: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Library/PostgreSQL", "", "bin"),
];

/// Where to look for PostgreSQL's client programs, and where temporary files go.
#[derive(Clone, Debug, Default)]
pub struct ToolPaths {
    directories: Vec<PathBuf>,
    system: bool,
    temporary: Option<PathBuf>,
}

impl ToolPaths {
    /// Looks in the given folders only.
    #[must_use]
    pub fn only(directories: Vec<PathBuf>) -> Self {
        Self { directories, system: false, temporary: None }
    }

    /// Looks in `$PATH`, where `pg_config` points, and where distributions install
    /// (`/usr/lib/postgresql/*/bin` and the like).
    #[must_use]
    pub fn system() -> Self {
        Self { directories: Vec::new(), system: true, temporary: None }
    }

    /// Looks in this folder too, before the others.
    #[must_use]
    pub fn with_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directories.push(directory.into());
        self
    }

    /// Puts temporary files (the schema while it is restored) there instead of the system's
    /// temporary folder.
    #[must_use]
    pub fn with_temporary(mut self, directory: impl Into<PathBuf>) -> Self {
        self.temporary = Some(directory.into());
        self
    }

    /// Returns the folder for temporary files.
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.temporary.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// Returns every copy of `program` that runs, with its version, in search order.
    pub async fn find(&self, program: &str) -> Vec<Tool> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for directory in self.search().await {
            let path = directory.join(program);
            let Ok(real) = path.canonicalize() else { continue };
            // Debian's wrapper chooses a version by itself; the real ones are found anyway.
            if real.file_name() == Some(OsStr::new("pg_wrapper")) || !seen.insert(real) {
                continue;
            }
            if let Some(tool) = Tool::probe(path).await {
                found.push(tool);
            }
        }
        found
    }

    /// Returns the copy of `program` nearest to the server's major version.
    ///
    /// Fails with `Unsupported` when there is none of that version or newer; the error names
    /// what was found and the remedy.
    pub async fn choose(&self, program: &str, server_major: u32) -> Result<Tool> {
        let found = self.find(program).await;
        match nearest(&found, server_major) {
            Some(tool) => Ok(tool.clone()),
            None => Err(missing(program, server_major, &found)),
        }
    }

    async fn search(&self) -> Vec<PathBuf> {
        let mut directories = self.directories.clone();
        if !self.system {
            return directories;
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        directories.extend(std::env::split_paths(&path));
        directories.extend(bindir_of_pg_config().await);
        for (root, prefix, rest) in VERSIONED {
            directories.extend(versioned(Path::new(root), prefix, rest));
        }
        directories
    }
}

/// One program on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Where it is.
    pub path: PathBuf,
    /// Its major version.
    pub major: u32,
    /// Its version as it prints it: `pg_dump (PostgreSQL) 15.4`.
    pub version: String,
}

impl Tool {
    /// Asks a program for its version; nothing when it does not run or says something else.
    async fn probe(path: PathBuf) -> Option<Self> {
        let output = Command::new(&path)
            .arg("--version")
            .env("LC_ALL", "C")
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .ok()?;
        let version = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        let major = parse_major(&version)?;
        output.status.success().then_some(Self { path, major, version })
    }

    /// Returns another program of the same installation.
    #[must_use]
    pub fn sibling(&self, program: &str) -> Self {
        Self {
            path: self.path.with_file_name(program),
            major: self.major,
            version: self.version.clone(),
        }
    }
}

fn nearest(found: &[Tool], server_major: u32) -> Option<&Tool> {
    let usable = found.iter().filter(|tool| tool.major >= server_major);
    // Of the same major version the newest minor one: it knows all that servers may hold.
    usable.min_by_key(|tool| (tool.major, Reverse(minor(&tool.version))))
}

fn missing(program: &str, server_major: u32, found: &[Tool]) -> Error {
    let versions: Vec<String> =
        found.iter().map(|tool| format!("{} ({})", tool.major, tool.path.display())).collect();
    let found = if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
    Error::new(ErrorKind::Unsupported, format!("find {program}"))
        .with("needed", format!("{server_major} or newer"))
        .with("found", found)
        .hint(format!(
            "Install PostgreSQL {server_major} client programs (Debian: apt install \
             postgresql-client-{server_major}), or name the folder that holds them."
        ))
}

fn parse_major(version: &str) -> Option<u32> {
    let after = version.split("(PostgreSQL) ").nth(1)?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn minor(version: &str) -> u32 {
    let after = version.split("(PostgreSQL) ").nth(1).and_then(|text| text.split_once('.'));
    let digits = after.map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit));
    digits.and_then(|digits| digits.collect::<String>().parse().ok()).unwrap_or(0)
}

fn versioned(root: &Path, prefix: &str, rest: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            name.strip_prefix(prefix)
                .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        })
        .map(|name| root.join(name).join(rest))
        .collect();
    found.sort();
    found
}

async fn bindir_of_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config")
        .arg("--bindir")
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(major: u32) -> Tool {
        Tool { path: format!("/pg/{major}/bin/pg_dump").into(), major, version: String::new() }
    }

    #[test]
    fn versions_are_read_from_what_programs_print() {
        assert_eq!(parse_major("pg_dump (PostgreSQL) 15.4 (Debian 15.4-1)"), Some(15));
        assert_eq!(parse_major("pg_dump (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("pg_dump (PostgreSQL) 19devel"), Some(19));
        assert_eq!(parse_major("mysqldump 8.0"), None);
    }

    #[test]
    fn the_nearest_version_that_is_not_older_wins() {
        let found = [tool(18), tool(14), tool(16)];
        assert_eq!(nearest(&found, 15).unwrap().major, 16);
        assert_eq!(nearest(&found, 14).unwrap().major, 14);
        assert!(nearest(&found, 19).is_none());
    }

    #[test]
    fn the_newest_minor_version_wins_among_equals() {
        let versions = ["15.4", "15.20 (Debian 15.20-1)", "15.9"];
        let found = versions
            .map(|version| Tool { version: format!("pg_dump (PostgreSQL) {version}"), ..tool(15) });
        assert_eq!(nearest(&found, 15).unwrap().version, found[1].version);
    }

    #[test]
    fn the_error_says_what_is_needed_found_and_to_do() {
        let error = missing("pg_dump", 17, &[tool(15)]);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(text.contains("17 or newer") && text.contains("15 (/pg/15/bin/pg_dump)"), "{text}");
        assert!(error.remedy().unwrap().contains("postgresql-client-17"));
    }
}
