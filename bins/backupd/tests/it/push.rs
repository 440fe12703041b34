//! Servers whose `archive_command` goes through the daemon: each file is durable before it is
//! acknowledged, whatever is killed, and without a daemon the command does it itself.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use backup_testkit::postgres::Cluster;

use crate::world::{PASSPHRASE, Running, World, shop, wait};

/// A server that archives when it is told how, and keeps its WAL to compare with.
struct Archiving {
    cluster: Cluster,
    world: World,
    control: PathBuf,
}

impl Archiving {
    fn new() -> Option<Self> {
        let major = Cluster::majors().last().copied().unwrap_or(18);
        let cluster = Cluster::builder(major)
            .setting("archive_mode", "on")
            .setting("archive_command", "false")
            .setting("wal_keep_size", "2GB")
            .start()?;
        shop(&cluster, 10);
        let mut world = World::new(&cluster);
        let control = world.give_to_servers();
        Some(Self { cluster, world, control })
    }

    /// Archives from now on, with or without what opens the repository.
    fn archive(&self, with_key: bool) {
        let mut words: Vec<String> =
            self.variables(with_key).map(|(name, value)| format!("{name}=''{value}''")).collect();
        words.push(self.control.display().to_string());
        let command = format!("{} wal push %p", words.join(" "));
        let set = format!("alter system set archive_command = '{command}'");
        self.cluster.sql("postgres", &set);
        self.cluster.sql("postgres", "select pg_reload_conf()");
    }

    fn variables(&self, with_key: bool) -> impl Iterator<Item = (&str, &str)> {
        let named = ["PATH", "BACKUP_REPOSITORY", "BACKUPD_STATE"];
        let given = self.world.environment().filter(move |(name, _)| named.contains(name));
        let key = with_key.then_some(("BACKUP_PASSPHRASE", PASSPHRASE));
        given.chain([("BACKUP_SOURCE", "shop")]).chain(key)
    }

    /// The other program, in the data directory, as the server's user.
    fn command(&self, with_key: bool) -> Command {
        let mut command = Command::new(&self.control);
        command.env_clear().envs(self.variables(with_key)).stdin(Stdio::null());
        command.current_dir(self.cluster.data_directory());
        self.world.as_user(command)
    }

    /// Runs the command by hand.
    fn push(&self, path: &str, with_key: bool) -> Output {
        self.command(with_key).args(["wal", "push", path]).output().unwrap()
    }

    fn own(&self, segment: &str) -> PathBuf {
        self.cluster.data_directory().join(in_log(segment))
    }

    /// Fills a segment a bit and ends it; returns its name.
    fn segment(&self) -> String {
        let sql = "insert into orders select n, '' from generate_series((select max(id) + 1 from \
                   orders), (select max(id) + 900 from orders)) n";
        self.cluster.sql("shop", sql);
        let name = self.cluster.sql("shop", "select pg_walfile_name(pg_switch_wal())");
        name.trim().to_owned()
    }

    fn stored(&self, segment: &str) -> bool {
        // Objects' names have no capital letters.
        let object = format!("{}-", segment.to_lowercase());
        let folders = std::fs::read_dir(self.world.path("repository/wal/shop")).into_iter();
        folders.flatten().flatten().any(|system| {
            let folder = system.path().join(&segment[..8]);
            let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let mut names = names.map(|entry| entry.file_name());
            names.any(|name| name.to_string_lossy().starts_with(&object))
        })
    }

    /// The segments that the server was told are safe.
    fn acknowledged(&self) -> Vec<String> {
        let status = self.cluster.data_directory().join("pg_wal/archive_status");
        let names = std::fs::read_dir(status).unwrap().flatten().map(|entry| entry.file_name());
        names
            .filter_map(|name| name.to_str()?.strip_suffix(".done").map(str::to_owned))
            .filter(|name| name.len() == 24)
            .collect()
    }

    #[track_caller]
    fn await_archived(&self, segment: &str) {
        wait(&format!("{segment} to be archived"), || {
            self.acknowledged().iter().any(|name| name == segment)
        });
    }

    fn failures(&self) -> u64 {
        let sql = "select failed_count from pg_stat_archiver";
        self.cluster.sql("postgres", sql).trim().parse().unwrap()
    }

    /// What was acknowledged comes back as it was.
    #[track_caller]
    fn compare(&self) {
        let segments = self.acknowledged();
        assert!(segments.len() >= 6, "{segments:?}");
        for segment in segments {
            let out = self.world.path("out");
            let mut fetch = self.command(true);
            fetch.args(["wal", "fetch", "--no-ahead", &segment]).arg(&out);
            let done = fetch.output().unwrap();
            assert!(done.status.success(), "{}", said(&done));
            let own = std::fs::read(self.own(&segment)).unwrap();
            assert!(std::fs::read(&out).unwrap() == own, "{segment}");
        }
    }
}

fn in_log(segment: &str) -> String {
    format!("pg_wal/{segment}")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_server_archives_through_the_daemon_and_by_itself_when_there_is_none() {
    let Some(archiving) = Archiving::new() else { return };
    let daemon = archiving.world.start();
    // What waits is stored before the server asks for it.
    let waiting: Vec<String> = (0..5).map(|_| archiving.segment()).collect();
    let pushed = archiving.push(&in_log(&waiting[0]), false);
    assert!(pushed.status.success(), "without a key only the daemon can: {}", said(&pushed));
    for segment in &waiting {
        wait(&format!("{segment} to be stored"), || archiving.stored(segment));
    }
    assert!(archiving.acknowledged().is_empty());
    archiving.archive(false);
    archiving.await_archived(&waiting[4]);
    let before = archiving.failures();
    archiving.segment();
    let mut last = archiving.segment();
    archiving.await_archived(&last);
    assert_eq!(archiving.failures(), before);

    // Errors of the daemon are the command's, by the server's rules.
    let folder = archiving.world.path("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    let other = folder.join(&last);
    let mut bytes = std::fs::read(archiving.own(&last)).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&other, bytes).unwrap();
    let refused = archiving.push(other.to_str().unwrap(), false);
    assert_eq!(refused.status.code(), Some(8), "{}", said(&refused));
    assert!(said(&refused).contains("other bytes"), "{}", said(&refused));
    let absent = archiving.push("pg_wal/0000000100000000000000F1", true);
    assert_eq!(absent.status.code(), Some(7), "{}", said(&absent));

    // A daemon that hangs is not waited for, and one of another repository not used.
    daemon.signal("STOP");
    let segment = archiving.segment();
    let pushed = archiving.push(&in_log(&segment), true);
    assert!(pushed.status.success() && archiving.stored(&segment), "{}", said(&pushed));
    daemon.signal("CONT");
    archiving.await_archived(&segment);
    let mut stranger = archiving.command(false);
    stranger.env("BACKUP_REPOSITORY", archiving.world.path("other"));
    let stranger = stranger.args(["wal", "push", &in_log(&segment)]).output().unwrap();
    assert_eq!(stranger.status.code(), Some(2), "no key, and no daemon: {}", said(&stranger));

    // Without a daemon and without a key nothing is acknowledged.
    drop(daemon);
    let before = archiving.failures();
    let missed = archiving.segment();
    wait("the command to fail", || archiving.failures() > before);
    assert!(!archiving.acknowledged().contains(&missed) && !archiving.stored(&missed));
    // With one the command does it itself; and a new daemon takes over where it is.
    archiving.archive(true);
    archiving.await_archived(&missed);
    archiving.archive(false);
    let daemon = archiving.world.start();
    last = archiving.segment();
    archiving.await_archived(&last);
    daemon.terminate();
    archiving.compare();
}

#[test]
fn a_daemon_killed_at_any_moment_leaves_nothing_acknowledged_that_is_not_stored() {
    let Some(archiving) = Archiving::new() else { return };
    let mut daemon: Running = archiving.world.start();
    let first = archiving.segment();
    archiving.archive(true);
    archiving.await_archived(&first);
    let before = archiving.failures();
    let mut last = first;
    for round in 0..6u64 {
        for _ in 0..4 {
            last = archiving.segment();
        }
        std::thread::sleep(Duration::from_millis(round * 23));
        daemon.signal("KILL");
        assert_eq!(daemon.ended(), None);
        for segment in archiving.acknowledged() {
            assert!(archiving.stored(&segment), "{segment} was acknowledged");
        }
        daemon = archiving.world.start();
    }
    archiving.await_archived(&last);
    assert_eq!(archiving.failures(), before, "the command goes on alone");
    daemon.terminate();
    archiving.compare();
}
