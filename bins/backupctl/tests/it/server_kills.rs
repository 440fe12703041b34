//! The server dies, or is promoted, at every step of a copy of its cluster: no snapshot, a clear
//! error, and the next run works.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use backup_testkit::postgres::Cluster;
use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Program, shop};
use crate::wal::{base, wait};

/// A backup under way.
struct UnderWay {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl UnderWay {
    fn begin(ctl: &Program, words: &[&str]) -> Self {
        let words = [&["-v", "backup", "--mode", "physical"], words].concat();
        let mut command = ctl.command(&words);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut said = kept.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        Self { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits for something that is true while the backup is under way.
    #[track_caller]
    fn reaches(&mut self, what: &str, mut there: impl FnMut() -> bool) {
        let (child, said) = (&mut self.child, &self.said);
        wait(what, || {
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "{what}: it ended before, {ended:?}: {}",
                said.lock().unwrap()
            );
            there()
        });
    }

    /// It ends as one whose server went away, with a remedy.
    #[track_caller]
    fn fails(mut self, when: &str) -> String {
        let code = self.child.wait().unwrap().code();
        // The thread that listens has the rest in a moment.
        wait("the error", || self.said().contains("hint: "));
        let said = self.said();
        assert_eq!(code, Some(3), "{when}: {said}");
        assert!(said.contains("error: "), "{when}: {said}");
        said
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // It has ended already, as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(cluster: &Cluster, condition: &str) -> Pid {
    let sql = format!("select pid from pg_stat_activity where {condition} limit 1");
    Pid::from_raw(cluster.sql("postgres", &sql).trim().parse().unwrap()).unwrap()
}

fn is(cluster: &Cluster, condition: &str) -> bool {
    cluster.sql("postgres", &format!("select {condition}")).trim() == "t"
}

/// The session that keeps a backup open.
const SESSION: &str = "query ilike '%pg_backup_start(%' and pid <> pg_backend_pid()";

struct World {
    cluster: Cluster,
    ctl: Program,
    taken: usize,
}

impl World {
    fn new() -> Option<Self> {
        let cluster = Cluster::start_newest()?;
        shop(&cluster, "shop", 30_000);
        let ctl = Program::of(&cluster, "shop");
        ctl.ok(&["init"]);
        Some(Self { cluster, ctl, taken: 0 })
    }

    fn begin(&self, from: &str, more: &[&str]) -> UnderWay {
        let words = [&["--physical-from", from], more].concat();
        UnderWay::begin(&self.ctl, &words)
    }

    fn phase(&self, backup: &mut UnderWay, phase: &str) {
        let sql =
            format!("exists (select from pg_stat_progress_basebackup where phase = '{phase}')");
        backup.reaches(phase, || is(&self.cluster, &sql));
    }

    fn session(&self, backup: &mut UnderWay, state: &str) {
        let sql =
            format!("exists (select from pg_stat_activity where {SESSION} and state = '{state}')");
        backup.reaches(state, || is(&self.cluster, &sql));
    }

    /// The server dies now; `frozen` is one of its processes that cannot end by itself.
    fn dies(&mut self, backup: UnderWay, frozen: Option<Pid>, when: &str) {
        self.cluster.kill9();
        if let Some(process) = frozen {
            kill_process(process, Signal::KILL).unwrap();
        }
        backup.fails(when);
        let snapshots = self.ctl.json(&["snapshots"]);
        assert_eq!(snapshots["snapshots"].as_array().unwrap().len(), self.taken, "{when}");
        self.cluster.restart();
        let next = self.ctl.json(&["backup", "--mode", "physical"]);
        assert_eq!(next["snapshot"]["suspect"], false, "{when}: {next}");
        self.taken += 1;
    }
}

#[test]
fn a_server_that_dies_while_it_sends_its_files_leaves_no_snapshot() {
    let Some(mut world) = World::new() else { return };
    let checkpointer = pid(&world.cluster, "backend_type = 'checkpointer'");
    kill_process(checkpointer, Signal::STOP).unwrap();
    let mut backup = world.begin("remote", &[]);
    world.phase(&mut backup, "waiting for checkpoint to finish");
    world.dies(backup, Some(checkpointer), "before the start");

    let mut backup = world.begin("remote", &["--max-rate", "4MiB"]);
    let sent = "exists (select from pg_stat_progress_basebackup where backup_streamed > 1000000)";
    backup.reaches("files", || is(&world.cluster, sent));
    world.dies(backup, None, "while files are sent");

    let mut backup = world.begin("remote", &["--max-rate", "8MiB"]);
    world.phase(&mut backup, "streaming database files");
    let sql = "create table more as select n, repeat('x', 500) from generate_series(1, 120000) n";
    world.cluster.sql("shop", sql);
    world.phase(&mut backup, "transferring wal files");
    world.dies(backup, None, "while WAL is sent");
}

#[test]
fn a_server_that_dies_while_its_files_are_read_leaves_no_snapshot() {
    let Some(mut world) = World::new() else { return };
    let checkpointer = pid(&world.cluster, "backend_type = 'checkpointer'");
    kill_process(checkpointer, Signal::STOP).unwrap();
    let mut backup = world.begin("local", &[]);
    world.session(&mut backup, "active");
    world.dies(backup, Some(checkpointer), "before the start");

    let mut backup = world.begin("local", &["--max-rate", "8MiB"]);
    world.session(&mut backup, "idle");
    world.dies(backup, None, "while files are read");

    let mut backup = world.begin("local", &["--max-rate", "8MiB"]);
    world.session(&mut backup, "idle");
    let session = pid(&world.cluster, SESSION);
    kill_process(session, Signal::STOP).unwrap();
    let said = Arc::clone(&backup.said);
    backup.reaches("the stop", || said.lock().unwrap().contains("stop backup"));
    world.dies(backup, Some(session), "before the stop");

    let mut backup = world.begin("local", &["--max-rate", "8MiB"]);
    world.session(&mut backup, "idle");
    let server = i32::try_from(world.cluster.process_id().unwrap()).unwrap();
    // It lets nobody in any more; the session goes on.
    kill_process(Pid::from_raw(server).unwrap(), Signal::STOP).unwrap();
    let said = Arc::clone(&backup.said);
    backup.reaches("the WAL", || said.lock().unwrap().contains("copy WAL"));
    world.dies(backup, None, "before its WAL is read");
}

#[test]
fn a_standby_that_is_promoted_meanwhile_gives_no_snapshot() {
    for from in ["remote", "local"] {
        let Some(primary) = Cluster::start_newest() else { return };
        shop(&primary, "shop", 30_000);
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("base");
        base(&primary, &copy);
        let socket = primary.socket_folder().display().to_string();
        let follow = format!("host={socket} port={} user=postgres", primary.port());
        let standby = Cluster::builder(primary.major())
            .setting("primary_conninfo", &follow)
            .try_start_from(|data| {
                assert!(Command::new("cp").arg("-a").arg(&copy).arg(data).status()?.success());
                std::fs::write(data.join("standby.signal"), "")
            })
            .unwrap();
        primary.sql("postgres", "checkpoint");
        let ctl = Program::of(&standby, "shop");
        ctl.ok(&["init"]);
        let words = ["--physical-from", from, "--max-rate", "8MiB"];
        let mut backup = UnderWay::begin(&ctl, &words);
        let begun = match from {
            "remote" => "exists (select from pg_stat_progress_basebackup \
                 where phase = 'streaming database files')"
                .to_owned(),
            _ => {
                format!("exists (select from pg_stat_activity where {SESSION} and state = 'idle')")
            }
        };
        backup.reaches("files", || is(&standby, &begun));
        standby.sql("postgres", "select pg_promote()");
        let said = backup.fails(from);
        assert!(said.contains("promoted"), "{from}: {said}");
        let snapshots = ctl.json(&["snapshots"]);
        assert_eq!(snapshots["snapshots"].as_array().unwrap().len(), 0, "{from}");
        // It is a primary now.
        let next = ctl.json(&["backup", "--mode", "physical", "--physical-from", from]);
        assert_eq!(next["snapshot"]["suspect"], false, "{from}: {next}");
    }
}

#[test]
fn a_server_that_cannot_archive_is_copied_nevertheless() {
    let Some(major) = Cluster::majors().last().copied() else { return };
    let builder = Cluster::builder(major).setting("archive_mode", "on");
    let Some(cluster) = builder.setting("archive_command", "false").start() else { return };
    shop(&cluster, "shop", 10);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    for from in ["remote", "local"] {
        // The WAL that it needs comes with it: nothing waits for an archive.
        ctl.ok(&["backup", "--mode", "physical", "--physical-from", from]);
    }
    assert_eq!(ctl.json(&["verify", "--all", "--read-data"])["ok"], true);
}
