//! A repository, a daemon's directory, and processes that end with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backup::daemon::{Answer, Question, Status};
use backup::{Backup, Secret};
use backup_core::{JobKey, JobKind, Run, SnapshotRecord};
use backup_testkit::postgres::Cluster;

use crate::via_daemon::backupctl;

pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

/// A generous ceiling: other work loads the machine.
const PATIENCE: Duration = Duration::from_secs(150);

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    /// User and group to be, and where the program is that they can reach.
    user: Option<(u32, u32)>,
    program: PathBuf,
}

/// A daemon under way; dropped, it is killed.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) log: Arc<Mutex<String>>,
}

impl World {
    /// A repository with a daemon for this database, every minute of the real clock.
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let mut world = Self::bare();
        let path = std::env::var("PATH").unwrap_or_default();
        world.set("PATH", &format!("{}:{path}", cluster.bin("").display()));
        world.set("DATABASE_URL", &cluster.url("shop"));
        world
    }

    /// A repository with a daemon that knows of no source yet.
    pub(crate) fn bare() -> Self {
        let folder = tempfile::Builder::new().prefix("backupd-").tempdir().unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_backupd"));
        let mut world = Self { folder, environment: Vec::new(), user: None, program };
        world.set("PATH", &std::env::var("PATH").unwrap_or_default());
        world.set("BACKUP_REPOSITORY", &world.repository());
        world.set("BACKUP_PASSPHRASE", PASSPHRASE);
        world.set("BACKUPD_STATE", &world.path("state").display().to_string());
        world.set("BACKUPD_LISTEN", "127.0.0.1:0");
        runtime().block_on(async {
            backup::install_tls();
            Backup::open_or_create(&world.repository(), Secret::new(PASSPHRASE)).await.unwrap();
        });
        world
    }

    /// Makes everything the user's that servers run as, where this process is root and they are
    /// not: what they start may then use it. Returns the other program, for that user.
    pub(crate) fn give_to_servers(&mut self) -> PathBuf {
        let control = self.path("backupctl");
        std::fs::copy(backupctl(), &control).unwrap();
        if rustix::process::geteuid().is_root() {
            let users = std::fs::read_to_string("/etc/passwd").unwrap();
            let line = users.lines().find(|line| line.starts_with("nobody:")).unwrap();
            let number = |field: usize| line.split(':').nth(field).unwrap().parse().unwrap();
            let (user, group) = (number(2), number(3));
            self.user = Some((user, group));
            // What was built may lie below root's home.
            let reachable = self.path("backupd");
            std::fs::copy(&self.program, &reachable).unwrap();
            self.program = reachable;
            let owner = format!("{user}:{group}");
            let given = Command::new("chown").args(["-R", &owner]).arg(self.folder.path()).status();
            assert!(given.unwrap().success());
        }
        control
    }

    pub(crate) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A program as the user that the daemon is.
    pub(crate) fn as_user(&self, mut command: Command) -> Command {
        if let Some((user, group)) = self.user {
            std::os::unix::process::CommandExt::uid(&mut command, user);
            std::os::unix::process::CommandExt::gid(&mut command, group);
        }
        command
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn repository(&self) -> String {
        format!("file://{}", self.path("repository").display())
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Writes backup.toml in the daemon's working directory.
    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.path("backup.toml"), text).unwrap();
    }

    pub(crate) fn command(&self) -> Command {
        self.wrapped(None)
    }

    fn wrapped(&self, prelude: Option<&str>) -> Command {
        let mut command = match prelude {
            Some(prelude) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{prelude} exec \"$0\"")]).arg(&self.program);
                shell
            }
            None => Command::new(&self.program),
        };
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        self.as_user(command)
    }

    /// Starts a daemon and waits until it answers.
    pub(crate) fn start(&self) -> Running {
        self.start_with(None)
    }

    pub(crate) fn start_with(&self, prelude: Option<&str>) -> Running {
        let mut running = Running::watch(self.wrapped(prelude));
        wait("the daemon to answer", || {
            assert!(running.child.try_wait().unwrap().is_none(), "{}", running.log());
            self.ask(&Question::Status).is_some()
        });
        running
    }

    /// Starts a daemon that may never come so far as to answer.
    pub(crate) fn spawn(&self) -> Running {
        Running::watch(self.command())
    }

    /// Asks the daemon; nothing when none answers.
    pub(crate) fn ask(&self, question: &Question) -> Option<Vec<Answer>> {
        let mut stream = UnixStream::connect(self.path("state/control.sock")).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = serde_json::to_vec(question).unwrap();
        line.push(b'\n');
        stream.write_all(&line).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let answers: Vec<Answer> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (!answers.is_empty()).then_some(answers)
    }

    pub(crate) fn status(&self) -> Status {
        match self.ask(&Question::Status).unwrap().pop() {
            Some(Answer::Status(status)) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Asks for a job and returns its run, at its end when `wait`.
    pub(crate) fn request(&self, kind: JobKind, wait: bool) -> Run {
        let job = JobKey::of(kind, &"shop".parse().unwrap());
        let question = Question::Run { job, actor: Some("test".into()), wait };
        match self.ask(&question).unwrap().pop() {
            Some(Answer::Run(run)) => *run,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn snapshots(&self) -> Vec<SnapshotRecord> {
        runtime().block_on(async {
            let repository = self.repository();
            let backup = Backup::open(&repository, Secret::new(PASSPHRASE)).await.unwrap();
            backup.snapshots().await.unwrap()
        })
    }

    /// Every run that is remembered, oldest first.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let file = self.path("state/catalog.db");
        runtime().block_on(async {
            use backup_core::port::Catalog as _;
            let now = backup::system_clock().now();
            let (catalog, _) = backup::catalog::SqliteCatalog::open(&file, now).unwrap();
            let mut runs = catalog.runs(&backup_core::port::RunFilter::default()).await.unwrap();
            runs.reverse();
            runs
        })
    }
}

impl Running {
    fn watch(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().unwrap();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log }
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for its end and returns its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let mut code = None;
        wait("the daemon to end", || match self.child.try_wait().unwrap() {
            Some(status) => {
                code = Some(status.code());
                true
            }
            None => false,
        });
        code.flatten()
    }

    pub(crate) fn terminate(mut self) {
        self.signal("TERM");
        assert_eq!(self.ended(), Some(0), "{}", self.log());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("log of the daemon:\n{}", self.log());
        }
    }
}

pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A database with some rows; `slow` makes a backup of it take long.
pub(crate) fn shop(cluster: &Cluster, rows: u64) {
    cluster.sql("postgres", "create database shop");
    cluster.sql(
        "shop",
        &format!(
            "create table orders (id bigint primary key, note text);
             insert into orders select n, md5(n::text) from generate_series(1, {rows}) n"
        ),
    );
}

/// How many sessions read rows of the database.
pub(crate) fn reading(cluster: &Cluster) -> u64 {
    let sessions = "select count(*) from pg_stat_activity where datname = 'shop' \
                    and query ilike 'copy%'";
    cluster.sql("postgres", sessions).trim().parse().unwrap()
}

pub(crate) fn sessions(cluster: &Cluster) -> u64 {
    let sessions = "select count(*) from pg_stat_activity where datname = 'shop'";
    cluster.sql("postgres", sessions).trim().parse().unwrap()
}
