//! Reading the configuration again, and hooks.

use backup::daemon::{Answer, Question};
use backup_core::{JobKind, RunState};
use backup_testkit::postgres::Cluster;

use crate::receiver::Receiver;
use crate::world::{World, shop, wait};

#[test]
fn a_new_configuration_is_read_and_a_bad_one_is_refused() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 100);
    let world = World::new(&cluster);
    world.configure("[schedule]\nbackup = \"0 2 1 1 *\"\n");
    let daemon = world.start();
    let next = |world: &World| {
        let next = world.status().next;
        next.into_iter().find(|(job, _)| job.kind == JobKind::Backup).map(|(_, at)| at.to_string())
    };
    wait("the first plan", || next(&world).is_some());
    assert!(next(&world).unwrap().contains("-01-01T02:00:00Z"));
    world.configure("[schedule]\nbackup = \"30 4 2 1 *\"\n");
    daemon.signal("HUP");
    wait("the new plan", || next(&world).is_some_and(|at| at.contains("-01-02T04:30:00Z")));
    world.configure("[schedule]\nbackup = \"61 * * * *\"\n");
    let answers = world.ask(&Question::Reload).unwrap();
    let Answer::Failed { exit_code: 2, message, .. } = &answers[0] else { panic!("{answers:?}") };
    assert!(message.contains("line: 2"), "{message}");
    assert!(next(&world).unwrap().contains("-01-02T04:30:00Z"), "the old one stays");
    assert!(world.status().problems[0].contains("not reloaded"));
    world.configure("[schedule]\nbackup = \"30 4 3 1 *\"\n");
    assert_eq!(world.ask(&Question::Reload).unwrap(), [Answer::Done]);
    assert_eq!(world.status().problems, Vec::<String>::new());
    daemon.terminate();
}

#[test]
fn hooks_are_called_and_one_that_hangs_is_ended() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 100);
    let world = World::new(&cluster);
    let script = world.path("hook.sh");
    std::fs::write(
        &script,
        "echo \"$1 $BACKUP_HOOK $BACKUP_HOOK_SOURCE ${BACKUP_HOOK_SNAPSHOT:+snapshot} \
         ${BACKUP_HOOK_ERROR:+error} ${BACKUP_PASSPHRASE:-no passphrase}\" >> \"$2\"\n",
    )
    .unwrap();
    let out = world.path("called");
    let hook = |on: &str| {
        format!(
            "[[hook]]\non = \"{on}\"\ncommand = [\"/bin/sh\", {script:?}, \"$(id)\", {out:?}]\n"
        )
    };
    let all = ["before", "after", "failure"].map(hook).concat();
    world.configure(&all);
    let daemon = world.start();
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);
    let called = std::fs::read_to_string(&out).unwrap();
    assert_eq!(
        called, "$(id) before shop   no passphrase\n$(id) after shop snapshot  no passphrase\n",
        "no shell reads the words, and secrets are not passed on"
    );

    // A required hook that fails, and one that hangs: the backup does not begin.
    for (command, text) in [
        ("[\"/bin/sh\", \"-c\", \"echo disk is not quiet >&2; exit 3\"]", "disk is not quiet"),
        ("[\"/bin/sleep\", \"600\"]", "did not end in time"),
    ] {
        world.configure(&format!("[daemon]\nattempts = 1\n[[hook]]\non = \"before\"\ncommand = {command}\ntimeout = \"1s\"\n"));
        assert_eq!(world.ask(&Question::Reload).unwrap(), [Answer::Done]);
        let run = world.request(JobKind::Backup, true);
        assert_eq!(run.state, RunState::Failed);
        assert!(run.error.as_ref().unwrap().message.contains(text), "{run:?}");
    }
    world.configure("[[hook]]\non = \"before\"\ncommand = [\"/no/such\"]\nrequired = false\n");
    assert_eq!(world.ask(&Question::Reload).unwrap(), [Answer::Done]);
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);
    assert!(daemon.log().contains("a hook failed; the run goes on"), "{}", daemon.log());
    daemon.terminate();
    assert_eq!(world.snapshots().len(), 2);
}

#[test]
fn what_needs_a_restart_is_said_and_the_rest_applies() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 10);
    let mut world = World::new(&cluster);
    world.set("BACKUPD_LISTEN", "");
    let listen = |at: &str, cron: &str| {
        world.configure(&format!(
            "[schedule]\nbackup = \"{cron}\"\njitter = \"2h\"\n[daemon]\nlisten = \"{at}\"\n"
        ));
    };
    listen("127.0.0.1:0", "0 3 1 1 *");
    let daemon = world.start();
    let next = || {
        let next = world.status().next;
        next.into_iter().find(|(job, _)| job.kind == JobKind::Backup).map(|(_, at)| at)
    };
    wait("the plan", || next().is_some());
    // Later than written, by a share of the jitter that is always the same.
    let first = next().unwrap();
    let civil = first.to_zoned(jiff::tz::TimeZone::UTC);
    let minutes = i32::from(civil.hour()) * 60 + i32::from(civil.minute());
    assert!((180..300).contains(&minutes) && minutes != 180, "{first}");
    listen("127.0.0.1:1", "0 4 1 1 *");
    assert_eq!(world.ask(&Question::Reload).unwrap(), [Answer::Done]);
    let problems = world.status().problems;
    assert_eq!(problems, ["configuration: daemon.listen needs a restart of backupd"]);
    wait("the new plan", || {
        next().is_some_and(|at| at == first + jiff::SignedDuration::from_hours(1))
    });
    assert!(daemon.log().contains("needs a restart"), "{}", daemon.log());
    listen("127.0.0.1:0", "0 3 1 1 *");
    assert_eq!(world.ask(&Question::Reload).unwrap(), [Answer::Done]);
    assert_eq!(world.status().problems, Vec::<String>::new());
    daemon.terminate();
    let daemon = world.start();
    wait("the plan", || next().is_some());
    assert_eq!(next().unwrap(), first, "the same after a restart");
    daemon.terminate();
}

#[test]
fn hooks_are_posted_signed_and_a_failed_one_does_not_fail_the_backup() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 100);
    let world = World::new(&cluster);
    let receiver = Receiver::start();
    let hook = |on: &str| {
        format!(
            "[[hook]]\non = \"{on}\"\nurl = \"{}\"\nsecret = \"hook secret\"\nrequired = false\n",
            receiver.url()
        )
    };
    let all = ["before", "after", "failure"].map(hook).concat();
    world.configure(&format!("[daemon]\nattempts = 1\n{all}"));
    let daemon = world.start();
    let run = world.request(JobKind::Backup, true);
    assert_eq!(run.state, RunState::Succeeded);
    let heard = receiver.heard();
    let events: Vec<_> = heard.iter().map(|body| body["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["hook.before", "hook.after"]);
    assert!(heard.iter().all(|body| body["source"] == "shop"));
    assert_eq!(heard[1]["facts"]["run"], run.id.to_string(), "{}", heard[1]);
    assert_eq!(heard[1]["facts"]["snapshot"], run.snapshot.unwrap().to_string());
    assert!(receiver.signatures().iter().all(|signature| signature.len() > 32));
    assert_eq!(receiver.signatures().len(), 2);

    cluster.sql("postgres", "alter database shop rename to shop_away");
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Failed);
    assert_eq!(receiver.count("hook.failure"), 1);
    let failure = receiver.heard().pop().unwrap();
    assert!(failure.to_string().contains("does not exist"), "{failure}");
    cluster.sql("postgres", "alter database shop_away rename to shop");
    receiver.set_down(true);
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);
    assert!(receiver.refused() > 0 && daemon.log().contains("a hook failed; the run goes on"));
    assert!(!daemon.log().contains("s3cr3t"), "where hooks go is a secret");
    daemon.terminate();
}
