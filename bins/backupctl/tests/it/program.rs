//! One repository in a temporary folder, seen through the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use backup_testkit::postgres::Cluster;
use serde_json::Value;

use crate::schema;

/// What the program is given, and nothing else of this process's environment.
pub(crate) struct Program {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    /// The program itself.
    binary: PathBuf,
    /// User and group to be, where this process is root and servers are not.
    user: Option<(u32, u32)>,
}

/// What the program did.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    /// A repository that is not there yet, and no source.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("backupctl-").tempdir().unwrap();
        let repository = format!("file://{}", folder.path().join("repository").display());
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_backupctl"));
        let mut program = Self { folder, environment: Vec::new(), binary, user: None };
        program.set("BACKUP_REPOSITORY", repository);
        program.set("BACKUP_PASSPHRASE", "correct horse battery staple");
        program.set("PATH", std::env::var("PATH").unwrap_or_default());
        program.set("HOME", program.path("").display().to_string());
        program
    }

    /// The same, run by the user that servers run as, so that both may use its files.
    pub(crate) fn unprivileged() -> Self {
        let mut program = Self::new();
        if rustix::process::geteuid().is_root() {
            let users = std::fs::read_to_string("/etc/passwd").unwrap();
            let line = users.lines().find(|line| line.starts_with("nobody:")).unwrap();
            let number = |field: usize| line.split(':').nth(field).unwrap().parse().unwrap();
            program.user = Some((number(2), number(3)));
            program.give(program.folder.path());
            // That user may be unable to reach where this was built, as below root's home.
            let reachable = program.path("backupctl");
            if std::fs::hard_link(&program.binary, &reachable).is_err() {
                std::fs::copy(&program.binary, &reachable).unwrap();
            }
            program.binary = reachable;
        }
        program
    }

    /// Gives a file to the user that the program runs as.
    pub(crate) fn give(&self, path: &Path) {
        if let Some((user, group)) = self.user {
            std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
        }
    }

    pub(crate) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same, with the database of that name of `cluster` as its source.
    pub(crate) fn of(cluster: &Cluster, database: &str) -> Self {
        let mut program = Self::new();
        let tools = cluster.bin("").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        program.set("PATH", format!("{tools}:{path}"));
        program.set("DATABASE_URL", cluster.url(database));
        program
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.unset(name);
        self.environment.push((name.to_owned(), value.into()));
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.environment.retain(|(known, _)| known != name);
    }

    /// A path in the folder of this repository, where the program also runs.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .args(words);
        if let Some((user, group)) = self.user {
            std::os::unix::process::CommandExt::uid(&mut command, user);
            std::os::unix::process::CommandExt::gid(&mut command, group);
        }
        command
    }

    /// Another program, as the same user.
    pub(crate) fn shell_command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some((user, group)) = self.user {
            std::os::unix::process::CommandExt::uid(&mut command, user);
            std::os::unix::process::CommandExt::gid(&mut command, group);
        }
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Done {
        Done::from(self.command(words).output().unwrap())
    }

    /// Runs a verb that must succeed and returns what it printed.
    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        self.run(words).expect(0).stdout
    }

    /// Runs a verb with `--json` that must succeed; its one document must fit its schema.
    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        self.json_ending(words, 0)
    }

    /// As `json`, for a verb that ends with `code` and prints a document nevertheless.
    #[track_caller]
    pub(crate) fn json_ending(&self, words: &[&str], code: i32) -> Value {
        let done = self.run(&[&["--json"], words].concat()).expect(code);
        let mut lines: Vec<Value> =
            done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 1, "one document on one line: {}", done.stdout);
        if code == 0 {
            assert_eq!(done.stderr, "", "nothing else is said with --json");
        }
        let document = lines.remove(0);
        schema::check(&document);
        document
    }

    /// Every file of the repository below `prefix`.
    pub(crate) fn objects(&self, prefix: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.path("repository").join(prefix), &mut found);
        found.sort();
        found
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

impl Done {
    /// Demands an exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Demands an exit code and an error with a remedy.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> Self {
        let done = self.expect(code);
        assert!(done.stderr.contains("error: "), "{}", done.stderr);
        assert!(done.stderr.contains("hint: "), "{}", done.stderr);
        done
    }

    /// The error of a run with `--json`: the one line on standard error.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let document = serde_json::from_str(&self.stderr)
            .unwrap_or_else(|error| panic!("{error}: {}", self.stderr));
        schema::check(&document);
        assert_eq!(document["exit_code"], self.code);
        document
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A database with two tables of `rows` rows together.
pub(crate) fn shop(cluster: &Cluster, name: &str, rows: u64) {
    cluster.sql("postgres", &format!("create database {name}"));
    cluster.sql(
        name,
        &format!(
            "create table orders (id bigint primary key, note text, total numeric);
             insert into orders select n, md5(n::text), n * 1.25 from generate_series(1, {rows}) n;
             create table people (id int primary key, name text unique);
             insert into people select n, 'person ' || n from generate_series(1, 1200) n;
             create view recent as select * from orders order by id desc limit 10"
        ),
    );
}

/// What a database made by [`shop`] holds, in a line that any change would change.
pub(crate) fn fingerprint(cluster: &Cluster, name: &str) -> String {
    cluster.sql(
        name,
        "select (select count(*) || ' ' || sum(hashtextextended(o::text, 0)) from orders o), \
         (select count(*) || ' ' || sum(hashtextextended(p::text, 0)) from people p), \
         (select count(*) from recent)",
    )
}
