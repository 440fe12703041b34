//! Groups in `backup.toml`.

#![allow(clippy::unwrap_used)]

mod common;

use backup_config::{DrillEvery, Settings};
use backup_core::{ErrorKind, SourceName};
use backup_retention::Period;
use common::{from_file, load};

const SOURCES: &str = r#"
[[source]]
name = "shop"
url = "postgres://db/shop"
protection.rpo = "2h"
[[source]]
name = "blog"
url = "mysql://db/blog"
[[source]]
name = "uploads"
path = "/srv/uploads"
[[source]]
name = "avatars"
path = "/srv/avatars"
"#;

fn with(group: &str) -> Result<Settings, (ErrorKind, String)> {
    from_file(&format!("{SOURCES}{group}")).map_err(|error| (error.kind(), format!("{error:?}")))
}

#[test]
fn a_group_names_its_members_and_what_its_drill_asks() {
    let settings = with(
        "[[group]]\nname = \"all\"\nsources = [\"shop\", \"uploads\"]\n[group.drill]\n\
         every = \"weekly\"\nkeys_sql = \"SELECT path FROM uploads\"\nstrip_prefix = \"/media/\"",
    );
    let group = settings.unwrap().groups.remove(0);
    assert_eq!(
        group.sources.iter().map(SourceName::as_str).collect::<Vec<_>>(),
        ["shop", "uploads"]
    );
    assert_eq!(group.rpo, Period::from_hours(26), "the longest of its members");
    let keys = &group.drill.keys[0];
    assert_eq!((keys.database.as_str(), keys.files.as_str()), ("shop", "uploads"));
    assert_eq!((keys.strip_prefix.as_str(), keys.add_prefix.as_str()), ("/media/", ""));
    assert_eq!(group.drill.interval, Some(Period::from_secs(7 * 86_400 + 7 * 7200)));

    let settings = with(
        "[[group]]\nname = \"all\"\nsources = [\"shop\", \"blog\", \"uploads\", \"avatars\"]\n\
         protection.rpo = \"4h\"\n[[group.drill.keys]]\nsql = \"SELECT 1\"\nfiles = \"avatars\"\n\
         database = \"blog\"\nadd_prefix = \"x/\"",
    );
    let group = settings.unwrap().groups.remove(0);
    assert_eq!((group.rpo, group.drill.keys.len()), (Period::from_hours(4), 1));
    assert_eq!(group.drill.keys[0].files.as_str(), "avatars");
}

#[test]
fn what_is_no_recovery_set_is_refused_with_its_line() {
    let list = |sources: &str| format!("[[group]]\nname = \"all\"\nsources = [{sources}]\n");
    let pair = list("\"shop\", \"uploads\"");
    for (text, why) in [
        ("[[group]]\nsources = [\"shop\", \"uploads\"]\n".to_owned(), "no name"),
        (list("\"shop\""), "fewer than two"),
        (list("\"shop\", \"nope\""), "nope"),
        (list("\"shop\", \"shop\""), "twice"),
        (list("\"uploads\", \"shop\""), "comes after files"),
        (pair.replace("all", "blog"), "a source is called 'blog'"),
        (format!("{pair}{pair}"), "two groups are called"),
        (format!("{pair}{}", pair.replace("all", "more")), "a member of 'all' already"),
        (format!("{pair}drill.strip_prefix = \"x\"\n"), "keys_sql"),
        (format!("{pair}drill.keys_sql = \" \"\n"), "empty"),
        (format!("{pair}drill.keys_sql = \"q\"\ndrill.files = \"shop\"\n"), "no member with files"),
        (format!("{}drill.keys_sql = \"q\"\n", list("\"shop\", \"blog\"")), "there is none"),
        (
            format!("{}drill.keys_sql = \"q\"\n", list("\"shop\", \"uploads\", \"avatars\"")),
            "several members",
        ),
        (format!("{pair}retention.policy = \"7 daily\"\n"), "unknown key"),
    ] {
        let (kind, error) = with(&text).unwrap_err();
        assert_eq!(kind, ErrorKind::ConfigInvalid, "{text}");
        assert!(error.contains(why) && error.contains("line"), "{why}: {error}");
    }
}

#[test]
fn what_only_general_settings_ask_of_members_the_group_does_for_them() {
    let general =
        "[schedule]\nbackup = \"0 2 * * *\"\njitter = \"5m\"\n[drill]\nevery = \"daily\"\n";
    let own =
        SOURCES.replace("url = \"postgres", "schedule.backup = \"30 * * * *\"\nurl = \"postgres");
    let group = "[[group]]\nname = \"all\"\nsources = [\"shop\", \"uploads\"]\n";
    let settings = from_file(&format!("{general}{own}{group}")).unwrap();
    let of = |name: &str| settings.source(name).unwrap();
    assert!(of("shop").schedule.backup.is_some(), "its own table says so");
    assert!(of("uploads").schedule.backup.is_none());
    assert!(of("blog").schedule.backup.is_some(), "no member");
    assert_eq!((of("uploads").drill.every, of("shop").drill.every), (None, None));
    let every = Some(DrillEvery::Period(Period::from_days(1)));
    assert_eq!(of("blog").drill.every, every);
    // A member still has to have been drilled as often: the group's drills count for it.
    assert!(of("uploads").protection.drill_interval.is_some());
    let all = &settings.groups[0];
    assert_eq!((all.drill.every, all.schedule.jitter), (every, Period::from_secs(300)));
    assert_eq!(all.schedule.backup.as_ref().map(ToString::to_string).as_deref(), Some("0 2 * * *"));

    // The environment's word goes before both.
    let text = format!("{SOURCES}{group}");
    let settings = load(&<_>::default(), &[("BACKUP_CRON", "5 5 * * *")], Some(&text)).unwrap();
    assert!(settings.groups[0].schedule.backup.is_some());
    assert!(settings.source("shop").unwrap().schedule.backup.is_none());

    // Without a schedule of the group members keep what they have.
    let each = "[drill]\nevery = \"snapshot\"\n";
    let weekly = format!("{each}{SOURCES}{group}drill.every = \"weekly\"\n");
    let settings = from_file(&weekly).unwrap();
    assert_eq!(settings.source("shop").unwrap().drill.every, Some(DrillEvery::Snapshot));
}
