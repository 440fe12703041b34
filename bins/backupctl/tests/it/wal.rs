//! The program as `archive_command` and `restore_command` of real servers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use backup_testkit::postgres::{Builder, Cluster};

use crate::program::{Done, Program};

/// A repository that the server's user may write, and the program as that user.
pub(crate) struct Archive {
    pub(crate) program: Program,
}

impl Archive {
    pub(crate) fn new(source: &str) -> Self {
        let mut program = Program::unprivileged();
        program.set("BACKUP_SOURCE", source);
        program.ok(&["init"]);
        Self { program }
    }

    /// The program with these words as a shell command with all it needs, as it stands in
    /// `postgresql.conf`.
    pub(crate) fn shell(&self, words: &str) -> String {
        let environment =
            self.program.environment().map(|(name, value)| format!("{name}='{value}' "));
        format!("{}{} {words}", environment.collect::<String>(), self.program.binary().display())
    }

    pub(crate) fn archiving(&self, builder: Builder) -> Builder {
        builder
            .setting("archive_mode", "on")
            .setting("archive_command", &self.shell("wal push %p"))
            .setting("restore_command", &self.shell("wal fetch %f %p"))
    }
}

/// Waits until the archiver has stored everything up to now.
#[track_caller]
pub(crate) fn archived(cluster: &Cluster) {
    // Something to switch from, or nothing is switched.
    cluster.sql("postgres", "select pg_create_restore_point('switch')");
    let name = cluster.sql("postgres", "select pg_walfile_name(pg_switch_wal())");
    let ready = "select coalesce(last_archived_wal, '') >= '{}' from pg_stat_archiver";
    let ready = ready.replace("{}", name.trim());
    wait(&format!("{} to be archived", name.trim()), || {
        cluster.sql("postgres", &ready).trim() == "t"
    });
}

#[track_caller]
pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(120), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A base backup by the server's own program, into a folder.
pub(crate) fn base(cluster: &Cluster, folder: &Path) {
    let mut command = cluster.command("pg_basebackup");
    command.args(["-X", "none", "-c", "fast", "--no-sync", "-D"]).arg(folder);
    assert!(command.stderr(Stdio::null()).status().unwrap().success());
}

/// Starts a copy of a base backup that recovers from the archive.
fn recover(
    cluster: &Cluster,
    base: &Path,
    settings: &[(&str, &str)],
    restore: &str,
) -> std::io::Result<Cluster> {
    let mut builder = Cluster::builder(cluster.major())
        .setting("archive_mode", "off")
        .setting("restore_command", restore);
    for (name, value) in settings {
        builder = builder.setting(name, value);
    }
    builder.try_start_from(|data| {
        let copied = Command::new("cp").arg("-a").arg(base).arg(data).status()?;
        assert!(copied.success());
        std::fs::write(data.join("recovery.signal"), "")
    })
}

fn file(cluster: &Cluster, name: &str) -> PathBuf {
    cluster.data_directory().join("pg_wal").join(name)
}

fn majors() -> Vec<u32> {
    let found = Cluster::majors();
    [15, 18].into_iter().filter(|major| found.contains(major)).collect()
}

#[test]
fn a_server_archives_and_a_copy_recovers_to_any_point() {
    for major in majors() {
        let archive = Archive::new("shop");
        let Some(cluster) = archive.archiving(Cluster::builder(major)).start() else { continue };
        let folder = tempfile::tempdir().unwrap();
        let base_folder = folder.path().join("base");
        cluster.sql("postgres", "create table t (n int)");
        base(&cluster, &base_folder);
        cluster.sql("postgres", "insert into t values (1); select pg_sleep(0.05)");
        let between = cluster.sql("postgres", "select now()").trim().to_owned();
        cluster.sql("postgres", "select pg_sleep(0.05); insert into t values (2)");
        cluster.sql("postgres", "select pg_create_restore_point('two')");
        let lsn = cluster.sql("postgres", "select pg_current_wal_insert_lsn()").trim().to_owned();
        cluster.sql("postgres", "insert into t select n from generate_series(3, 60000) n");
        for _ in 0..12 {
            cluster.sql("postgres", "insert into t values (0); select pg_switch_wal()");
        }
        archived(&cluster);
        assert_eq!(
            cluster.sql("postgres", "select failed_count from pg_stat_archiver").trim(),
            "0"
        );

        let restore = archive.shell("wal fetch %f %p");
        let seen = |settings: &[(&str, &str)]| {
            let settings = [settings, &[("recovery_target_action", "pause")]].concat();
            let copy = recover(&cluster, &base_folder, &settings, &restore).unwrap();
            let all = "select count(*) from t";
            let mut last = String::new();
            let paused =
                "select pg_get_wal_replay_pause_state() = 'paused' or not pg_is_in_recovery()";
            wait("the target", || {
                copy.try_sql("postgres", paused).is_ok_and(|text| text.trim() == "t")
            });
            last.push_str(copy.sql("postgres", all).trim());
            last
        };
        assert_eq!(seen(&[("recovery_target_time", &between)]), "1");
        assert_eq!(seen(&[("recovery_target_name", "two")]), "2");
        assert_eq!(seen(&[("recovery_target_lsn", &lsn)]), "2");
        assert_eq!(seen(&[("recovery_target", "immediate")]), "0");

        // To the end, and a timeline of its own from there.
        let copy = recover(&cluster, &base_folder, &[], &restore).unwrap();
        wait("the end", || copy.sql("postgres", "select pg_is_in_recovery()").trim() == "f");
        assert_eq!(copy.sql("postgres", "select count(*) from t").trim(), "60012");
        let timeline = "select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
        assert_eq!(copy.sql("postgres", timeline).trim(), "00000002");
        let left = copy.data_directory().join("pg_wal/.backupctl-ahead");
        wait("the helper to end", || !left.exists());
    }
}

#[test]
fn a_fork_gets_a_timeline_of_its_own_beside_the_first() {
    let Some(major) = majors().pop() else { return };
    let archive = Archive::new("shop");
    let Some(cluster) = archive.archiving(Cluster::builder(major)).start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let base_folder = folder.path().join("base");
    cluster.sql("postgres", "create table t (n int)");
    base(&cluster, &base_folder);
    cluster.sql("postgres", "insert into t values (1)");
    archived(&cluster);
    // A standby that is promoted archives, too: its last segment as `.partial`, a history.
    let builder = archive.archiving(Cluster::builder(major));
    let standby = builder
        .try_start_from(|data| {
            assert!(Command::new("cp").arg("-a").arg(&base_folder).arg(data).status()?.success());
            std::fs::write(data.join("standby.signal"), "")
        })
        .unwrap();
    wait("replay", || {
        standby.try_sql("postgres", "select count(*) from t").is_ok_and(|text| text.trim() == "1")
    });
    standby.sql("postgres", "select pg_promote()");
    standby.sql("postgres", "insert into t values (2)");
    archived(&standby);
    cluster.sql("postgres", "insert into t values (10); insert into t values (11)");
    archived(&cluster);
    assert_eq!(standby.sql("postgres", "select failed_count from pg_stat_archiver").trim(), "0");
    assert_eq!(cluster.sql("postgres", "select failed_count from pg_stat_archiver").trim(), "0");
    let histories = archive.program.objects("wal/shop");
    assert!(
        histories.iter().any(|path| path.to_string_lossy().contains("/00000002/00000002.history-"))
    );

    let restore = archive.shell("wal fetch %f %p");
    let ends = |timeline: &str| {
        let settings =
            [("recovery_target_timeline", timeline), ("recovery_target_action", "promote")];
        let copy = recover(&cluster, &base_folder, &settings, &restore).unwrap();
        wait("the end", || copy.sql("postgres", "select pg_is_in_recovery()").trim() == "f");
        copy.sql("postgres", "select string_agg(n::text, ',' order by n) from t").trim().to_owned()
    };
    assert_eq!(ends("latest"), "1,2");
    assert_eq!(ends("1"), "1,10,11");
}

#[test]
fn segments_of_another_size_go_the_same_way() {
    let Some(major) = majors().pop() else { return };
    let archive = Archive::new("shop");
    let builder = archive.archiving(Cluster::builder(major)).wal_segment_mib(1);
    let Some(cluster) = builder.start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let base_folder = folder.path().join("base");
    base(&cluster, &base_folder);
    cluster.sql(
        "postgres",
        "create table t as select n, md5(n::text) from generate_series(1, 60000) n",
    );
    archived(&cluster);
    let copy = recover(&cluster, &base_folder, &[], &archive.shell("wal fetch %f %p")).unwrap();
    wait("the end", || copy.sql("postgres", "select pg_is_in_recovery()").trim() == "f");
    assert_eq!(copy.sql("postgres", "select count(*) from t").trim(), "60000");
}

#[test]
fn what_must_not_be_mixed_is_refused() {
    let Some(major) = majors().pop() else { return };
    let archive = Archive::new("shop");
    let Some(cluster) = Cluster::start(major) else { return };
    let name = cluster.sql("postgres", "select pg_walfile_name(pg_switch_wal())").trim().to_owned();
    let push = |path: &Path, more: &[&str]| -> Done {
        let path = path.display().to_string();
        archive.program.run(&[&["wal", "push", path.as_str()], more].concat())
    };
    let segment = file(&cluster, &name);
    push(&segment, &[]).expect(0);
    push(&segment, &[]).expect(0);
    let before = archive.program.objects("wal");

    // The same name, other bytes: two servers on one timeline.
    let elsewhere = archive.program.path("copy");
    std::fs::create_dir(&elsewhere).unwrap();
    let changed = elsewhere.join(&name);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&changed, &bytes).unwrap();
    archive.program.give(&changed);
    let done = push(&changed, &[]).fails(8);
    assert!(done.stderr.contains("other bytes"), "{}", done.stderr);

    // A name that is not its content's, and what is no WAL.
    let renamed = elsewhere.join("0000000100000000000000F0");
    std::fs::copy(&segment, &renamed).unwrap();
    archive.program.give(&renamed);
    push(&renamed, &[]).fails(5);
    std::fs::write(&renamed, "not WAL").unwrap();
    push(&renamed, &[]).fails(5);
    let stray = elsewhere.join("notes.txt");
    std::fs::write(&stray, "x").unwrap();
    push(&stray, &[]).fails(2);
    push(&elsewhere.join("0000000100000000000000F1"), &[]).fails(7);

    // Another cluster under this source's name; on purpose it may.
    // Throw-away clusters are copies of one; this one was made for itself.
    let other = Cluster::builder(major).wal_segment_mib(16).start().unwrap();
    let foreign = other.sql("postgres", "select pg_walfile_name(pg_switch_wal())");
    let foreign = file(&other, foreign.trim());
    let done = push(&foreign, &[]).fails(8);
    assert!(done.stderr.contains("cluster"), "{}", done.stderr);
    assert_eq!(archive.program.objects("wal"), before, "nothing was stored");
    // Its file among this one's: the data directory says otherwise.
    let system = cluster.sql("postgres", "select system_identifier from pg_control_system()");
    push(&foreign, &["--system", system.trim()]).fails(5);
    push(&foreign, &["--accept-new-identity"]).expect(0);
    push(&foreign, &[]).expect(0);
}

#[test]
fn a_recovering_server_is_never_told_lies() {
    let Some(major) = majors().pop() else { return };
    let mut archive = Archive::new("shop");
    let Some(cluster) = Cluster::start(major) else { return };
    let name = cluster.sql("postgres", "select pg_walfile_name(pg_switch_wal())").trim().to_owned();
    let segment = file(&cluster, &name);
    archive.program.ok(&["wal", "push", &segment.display().to_string()]);
    let out = archive.program.path("out");
    let out = out.to_str().unwrap();
    let fetch = |archive: &Archive, name: &str| {
        let _ = std::fs::remove_file(out);
        archive.program.run(&["wal", "fetch", name, out]).code
    };
    assert_eq!(fetch(&archive, &name), 0);
    assert_eq!(std::fs::read(out).unwrap(), std::fs::read(&segment).unwrap());
    for absent in
        ["0000000100000000000000F0", "00000002.history", "0000000100000000000000F0.00000028.backup"]
    {
        assert_eq!(fetch(&archive, absent), 1, "{absent} is confirmed not to be there");
    }
    assert_eq!(fetch(&archive, "nonsense"), 126);
    assert_eq!(archive.program.run(&["wal", "fetch"]).code, 126);
    assert_eq!(archive.program.run(&["wal", "fetch", "--bogus"]).code, 126);
    assert_eq!(archive.program.run(&["wal", "push"]).code, 2);

    let repository = archive.program.path("repository");
    let moved = archive.program.path("moved");
    std::fs::rename(&repository, &moved).unwrap();
    assert_eq!(fetch(&archive, &name), 126, "an absent repository");
    assert_eq!(fetch(&archive, "00000002.history"), 126, "an absent repository knows nothing");
    let pushed = archive.program.run(&["wal", "push", &segment.display().to_string()]);
    pushed.fails(4);
    assert!(!repository.exists(), "nothing is archived into an unmounted folder");
    std::fs::rename(&moved, &repository).unwrap();

    archive.program.set("BACKUP_PASSPHRASE", "wrong");
    assert_eq!(fetch(&archive, &name), 126);
    archive.program.run(&["wal", "push", &segment.display().to_string()]).fails(6);
    archive.program.set("BACKUP_PASSPHRASE", "correct horse battery staple");
    assert_eq!(fetch(&archive, &name), 0);
    // Another cluster than the repository knows: an empty answer would end a recovery early.
    let done = archive.program.run(&[
        "wal",
        "fetch",
        "00000002.history",
        out,
        "--source",
        "shop",
        "--system",
        "1",
    ]);
    done.expect(126);

    let object = archive
        .program
        .objects("wal")
        .into_iter()
        .find(|p| p.to_string_lossy().contains("-"))
        .unwrap();
    let object =
        if object.ends_with("known") { archive.program.objects("wal")[0].clone() } else { object };
    let mut bytes = std::fs::read(&object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&object, bytes).unwrap();
    assert_eq!(fetch(&archive, &name), 126, "a damaged object");
    assert!(!Path::new(out).exists(), "nothing unproved is handed out");
}

#[test]
fn a_pusher_killed_at_any_moment_leaves_nothing_that_lies() {
    let Some(major) = majors().pop() else { return };
    let archive = Archive::new("shop");
    let Some(cluster) = Cluster::start(major) else { return };
    let mut acknowledged = Vec::new();
    for round in 0..12u32 {
        cluster.sql(
            "postgres",
            "create table if not exists t (n int); insert into t select generate_series(1, 20000)",
        );
        let name =
            cluster.sql("postgres", "select pg_walfile_name(pg_switch_wal())").trim().to_owned();
        let path = file(&cluster, &name).display().to_string();
        let mut child =
            archive.program.command(&["wal", "push", &path]).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(round) * 12));
        // It may have ended by now; then there is nobody to kill.
        let _ = child.kill();
        if child.wait().unwrap().success() {
            acknowledged.push(name.clone());
        }
        // The server tries again, and what is there by then is whole.
        archive.program.ok(&["wal", "push", &path]);
        acknowledged.push(name);
    }
    let out = archive.program.path("out");
    for name in acknowledged {
        archive.program.ok(&["wal", "fetch", "--no-ahead", &name, out.to_str().unwrap()]);
        assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(file(&cluster, &name)).unwrap());
    }
}

#[test]
fn a_host_that_can_only_write_archives_without_a_passphrase() {
    let Some(major) = majors().pop() else { return };
    let mut archive = Archive::new("shop");
    let Some(cluster) = Cluster::start(major) else { return };
    let name = cluster.sql("postgres", "select pg_walfile_name(pg_switch_wal())").trim().to_owned();
    let key = archive.program.path("host.key").display().to_string();
    archive.program.ok(&["key", "add", "--write-only", "--key-file", &key]);
    archive.program.unset("BACKUP_PASSPHRASE");
    archive.program.set("BACKUP_KEY_FILE", key);
    let path = file(&cluster, &name).display().to_string();
    archive.program.ok(&["wal", "push", &path]);
    archive.program.ok(&["wal", "push", &path]);
    let out = archive.program.path("out").display().to_string();
    archive.program.run(&["wal", "fetch", &name, &out]).expect(126);
}

#[test]
fn a_helper_answers_for_its_repository_and_for_no_other() {
    let Some(major) = majors().pop() else { return };
    let mut archive = Archive::new("shop");
    let Some(cluster) = Cluster::start(major) else { return };
    let switch = || {
        cluster.sql("postgres", "select pg_create_restore_point('switch')");
        let name = cluster.sql("postgres", "select pg_walfile_name(pg_switch_wal())");
        archive.program.ok(&["wal", "push", file(&cluster, name.trim()).to_str().unwrap()]);
        name.trim().to_owned()
    };
    let names = [switch(), switch(), switch()];
    let folder = archive.program.path("recovered");
    std::fs::create_dir(&folder).unwrap();
    archive.program.give(&folder);
    let out = folder.join("out").display().to_string();
    archive.program.ok(&["wal", "fetch", &names[0], &out]);
    let history = ["wal", "fetch", "00000009.history", &out];
    archive.program.run(&history).expect(1);
    // From now on only the helper can open the repository.
    let keys = ["keys", "away"].map(|name| archive.program.path("repository").join(name));
    std::fs::rename(&keys[0], &keys[1]).unwrap();
    for name in names.iter().chain(&names[..1]) {
        archive.program.ok(&["wal", "fetch", name, &out]);
        assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(file(&cluster, name)).unwrap());
    }
    archive.program.run(&history).expect(1);
    archive.program.run(&["wal", "fetch", "--no-ahead", &names[2], &out]).expect(126);
    archive.program.run(&["wal", "fetch", "--source", "other", &names[0], &out]).expect(126);
    archive.program.set("BACKUP_PASSPHRASE", "not the one");
    archive.program.run(&history).expect(126);
    archive.program.set("BACKUP_PASSPHRASE", "correct horse battery staple");
    std::fs::rename(&keys[1], &keys[0]).unwrap();
    // Nothing is said of a repository that is not there.
    let (there, gone) = (archive.program.path("repository"), archive.program.path("gone"));
    std::fs::rename(&there, &gone).unwrap();
    archive.program.run(&history).expect(126);
    std::fs::rename(&gone, &there).unwrap();
    archive.program.run(&history).expect(1);
    wait("the helper to end", || !folder.join(".backupctl-ahead").exists());
}
