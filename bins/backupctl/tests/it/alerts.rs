//! Somebody hears of it before the command ends.

use backup_testkit::postgres::Cluster;

use crate::listener::Listener;
use crate::program::{Program, shop};

#[test]
fn failures_always_alert_and_success_where_wanted() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 2_000);
    let (hook, slack) = (Listener::answering("200 OK"), Listener::answering("200 OK"));
    let mut ctl = Program::of(&cluster, "shop");
    ctl.set("BACKUP_WEBHOOK_URL", hook.url());
    ctl.set("SLACK_WEBHOOK_URL", slack.url());
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    let heard = hook.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0]["event"], "backup.succeeded");
    assert_eq!(heard[0]["source"], "shop");
    assert_eq!(slack.heard().len(), 0, "no news is good news for a chat");

    ctl.set("DATABASE_URL", "postgres://postgres@127.0.0.1:1/shop");
    ctl.run(&["backup"]).fails(3);
    let heard = hook.heard();
    assert_eq!(heard[0]["event"], "backup.failed");
    assert_eq!(heard[0]["source"], "shop");
    assert_eq!(heard[0]["severity"], "critical");
    assert_eq!(heard.len(), 1);
    assert_eq!(slack.heard().len(), 1);

    // Looking wakes nobody; a repository that cannot be opened does.
    ctl.run(&["show", "ffff"]).fails(7);
    assert!(hook.heard().is_empty());
    ctl.set("BACKUP_PASSPHRASE", "guess");
    ctl.run(&["verify"]).fails(6);
    assert_eq!(hook.heard()[0]["event"], "verify.failed");
    ctl.ok(&["notify", "test"]);
    assert_eq!(hook.heard()[0]["event"], "notify.test");
}

#[test]
fn a_deaf_channel_never_decides_how_a_command_ends() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 100);
    let refusing = Listener::answering("403 Forbidden");
    let mut ctl = Program::of(&cluster, "shop");
    ctl.set("BACKUP_WEBHOOK_URL", refusing.url());
    ctl.ok(&["init"]);
    let done = ctl.run(&["backup"]).expect(0);
    assert!(done.stderr.contains("was not told"), "{}", done.stderr);
    assert!(!done.stderr.contains("s3cr3t"), "the URL is a secret: {}", done.stderr);
    ctl.set("DATABASE_URL", "postgres://postgres@127.0.0.1:1/shop");
    ctl.run(&["backup"]).fails(3);
    ctl.run(&["notify", "test"]).expect(1);
}

#[test]
fn a_broken_configuration_is_told_as_well() {
    let hook = Listener::answering("200 OK");
    let mut ctl = Program::new();
    ctl.set("DATABASE_URL", "postgres://postgres@127.0.0.1:1/shop");
    ctl.set("BACKUP_WEBHOOK_URL", hook.url());
    ctl.ok(&["init"]);
    let told = |ctl: &Program| {
        let refused = ctl.run(&["backup"]).fails(2);
        assert!(!refused.stderr.contains("was told"), "{}", refused.stderr);
        let heard = hook.heard();
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert_eq!(heard[0]["event"], "backup.failed");
        assert_eq!(heard[0]["facts"]["exit_code"], "2");
    };
    // By a channel of the environment, whatever is wrong.
    std::fs::write(ctl.path("backup.toml"), "[repository]\nurll = 1\n").unwrap();
    told(&ctl);
    std::fs::remove_file(ctl.path("backup.toml")).unwrap();
    ctl.set("DATABASE_URL", "nonsense");
    told(&ctl);
    // By one of the file, where the file is sound.
    ctl.unset("BACKUP_WEBHOOK_URL");
    ctl.set("HOOK", hook.url());
    let file = "[[notify]]\nkind = \"webhook\"\nurl = \"env:HOOK\"\n";
    std::fs::write(ctl.path("backup.toml"), file).unwrap();
    told(&ctl);
}

#[test]
fn runs_ping_a_check_and_tests_say_what_each_channel_answered() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 100);
    let check = Listener::answering("200 OK");
    let (good, bad) = (Listener::answering("200 OK"), Listener::answering("403 Forbidden"));
    let mut ctl = Program::of(&cluster, "shop");
    let config = format!(
        "[[notify]]\nkind = \"webhook\"\nurl = \"{}\"\ntemplate = '{{\"text\": \"{{{{headline}}}}\"}}'\n\
         [[notify]]\nname = \"team\"\nkind = \"discord\"\nurl = \"{}\"\n",
        good.url(),
        bad.url()
    );
    std::fs::write(ctl.path("backup.toml"), config).unwrap();
    let tested = ctl.run(&["--json", "notify", "test"]).expect(1);
    let receipt: serde_json::Value = serde_json::from_str(&tested.stdout).unwrap();
    crate::schema::check(&receipt);
    assert_eq!(receipt["facts"]["webhook"], "delivered");
    assert!(receipt["facts"]["team"].as_str().unwrap().contains("status: 403"), "{receipt}");
    assert_eq!(receipt["numbers"]["delivered"], 1);
    assert!(!format!("{receipt} {}", tested.stderr).contains("s3cr3t"));
    assert_eq!(good.heard()[0]["text"], "[WARNING] test alert from backupctl");
    ctl.ok(&["notify", "test", "--channel", "webhook"]);
    ctl.run(&["notify", "test", "--channel", "nobody"]).fails(7);
    bad.heard();

    std::fs::remove_file(ctl.path("backup.toml")).unwrap();
    ctl.set("HEALTHCHECKS_PING_URL", check.url());
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    ctl.set("DATABASE_URL", "postgres://postgres@127.0.0.1:1/shop");
    ctl.run(&["backup"]).fails(3);
    let paths = check.paths();
    let all = ["/hook/s3cr3t/start", "/hook/s3cr3t", "/hook/s3cr3t/start", "/hook/s3cr3t/3"];
    assert_eq!(paths, all);
}
