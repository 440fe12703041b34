//! `backup.toml`.

#![allow(clippy::panic, clippy::unwrap_used)]

mod common;

use std::path::Path;

use backup_config::{
    ChannelSettings, ConfigFile, DrillPoint, Environment, Inputs, Overrides, ProviderKind,
    Settings, TemplateFacts, template,
};
use backup_core::ErrorKind;
use common::{from_env, from_file, load, secrets};
use proptest::prelude::*;

const FULL: &str = r#"
zone = "Europe/Berlin"

[repository]
url = "s3://bucket/prefix"
passphrase = "command:pass show backup"
key = "file:keys/main"
delta = "off"
timeout = "90s"
attempts = 3
max_requests = 8
upload_rate = "50MiB"
download_rate = "100MB"
near = false
region = "eu-central-1"
endpoint = "https://s3.example.com"
ca_file = "ca.pem"
access_key_id = "AKIA1"
secret_access_key = "env:S3_SECRET"
session_token = "hunter2"
azure_account = "shop"
azure_key = "env:AZURE_KEY"
azure_sas_token = "hunter2"

[backup]
mode = "logical"
jobs = 4
max_rate = "20MiB"
physical_from = "remote"
full_read = true
users = true

[retention]
policy = "7 daily, 4 weekly, 12 monthly"
keep_within = "14d"
wal_window = "30d"

[protection]
rpo = "15m"
level = "drilled"
drill_interval = "30d"

[schedule]
backup = "*/15 * * * *"
verify = "0 5 * * sun"
drill = "0 6 1 * *"
point_drill = "0 7 * * sat"
disaster_drill = "0 9 1 */3 *"
forget = "0 7 * * *"
jitter = "10m"
blackout = ["mon-fri 08:00-18:00"]
catch_up = false

[daemon]
listen = "[::1]:9000"
state = "state"
concurrency = 3
stall_timeout = "10m"
stop_timeout = "30s"
attempts = 7
retry_first = "10s"
retry_most = "5m"
keep_runs = "90d"
tls_certificate = "tls/cert.pem"
tls_key = "tls/key.pem"
hosts = ["backup.example"]
open_writes = true

[[group]]
name = "all"
sources = ["ledger", "uploads"]
protection.rpo = "3h"
[group.schedule]
backup = "0 1 * * *"
drill = "0 3 * * sun"
jitter = "1m"
blackout = ["mon-fri 09:00-10:00"]
catch_up = true
[group.drill]
every = "weekly"
keys_sql = "select path from uploads"
files = "uploads"
database = "ledger"
strip_prefix = "/media/"
add_prefix = "jpg/"
allow_empty = true
[[group.drill.keys]]
sql = "select path from scans"
files = "uploads"
database = "ledger"
strip_prefix = "/scans/"
add_prefix = "s/"
allow_empty = true

[[hook]]
on = "before"
sources = ["shop"]
command = ["/usr/local/bin/freeze", "--now"]
timeout = "2m"
required = false

[[hook]]
on = "failure"
url = "https://example.com/hunter4"
secret = "env:HOOK_SECRET"

[restore]
jobs = 2
no_owner = true
[restore.role_map]
app = "app_copy"

[drill]
every = "weekly"
disaster = "quarterly"
point = "6h"
sheet = "file:sheet.txt"
rto = "30m"
to = "env:DRILL_SERVER"
smoke = "bin/check"
smoke_timeout = "2m"
question_timeout = "1m"
[[drill.assert]]
name = "orders"
sql = "select count(*) from orders"
equals = 100
tolerance = 5.0
at_least = 90.0
at_most = 110.0
[[drill.assert]]
sql = "select max(placed) from orders"
younger_than = "1h"

[wal]
stream = true
flush = "20s"
max_lag = "2m"

[prune]
grace = "48h"
schedule = "0 8 * * 7"

[[source]]
name = "shop"
url = "env:SHOP_URL"
provider = "neon"
neon.api_key = "env:NEON"
neon.project_id = "quiet-sun-1"
neon.api_url = "https://neon.example.com/api/v2"
native = { freeze = false, reuse = "6h", schedule = "0 * * * *", retention = "24 hourly", keep_for = "2d", rpo = "2h" }
supabase = { access_token = "env:SB", project_ref = "abcdefghijklmnopqrst", api_url = "https://api.example.com" }
railway = { api_token = "env:RW", project_token = "env:RWP", environment_id = "e-1", service = "Postgres", wal_archive = "/srv/wal" }

[[source]]
name = "ledger"
url = "postgres://ledger@db/ledger"
backup = { mode = "physical", physical_from = "local", full_read = false }
wal = { slot = "keeps", max_lag = "1m" }

[[source]]
name = "desk"
url = "env:DESK_URL"
provider = "planetscale"
[source.planetscale]
token_id = "abc"
token = "env:PSTOKEN"
organization = "shop-inc"
database = "desk"
branch = "main"
cluster_size = "PS-10"
api_url = "https://ps.example.com/v1"

[[source]]
name = "crm"
url = "mysql://crm@db/crm"
backup = { users = false }

[[source]]
name = "uploads"
path = "/srv/uploads"
backup = { jobs = 1 }
files = { include = ["*.jpg"], exclude = ["tmp/"], markers = ["CACHEDIR.TAG"], one_file_system = true, host = "web-1", allow_unreadable = true, allow_changing = true }
bucket = { access_key_id = "AKIDB", secret_access_key = "env:BUCKET_SECRET", session_token = "env:BUCKET_TOKEN", azure_account = "shop", azure_key = "env:BUCKET_AZURE", azure_sas_token = "env:BUCKET_SAS", region = "eu-2", ca_file = "bucket.pem", max_requests = 7 }
retention = { keep_last = 3 }
protection = { rpo = "26h", level = "exists" }
schedule = { backup = "0 3 * * *" }
drill = { every = "snapshot" }
restore = { no_owner = false, role_map = { app = "other", x = "y" } }

[[notify]]
kind = "slack"
url = "file:/run/secrets/slack"
on_success = false

[[notify]]
kind = "webhook"
url = "https://example.com/hunter3"
secret = "env:HOOK_SECRET"
template = '{"text": "{{title}}"}'
remind_after = "never"

[[notify]]
name = "on-call"
kind = "pagerduty"
secret = "env:PAGERDUTY"
severity = "critical"
sources = ["shop*"]
events = ["backup.*", "protection.*"]

[[notify]]
kind = "email"
url = "smtps://backup@mail.example.com"
secret = "file:smtp"
from = "Backup <backup@example.com>"
to = ["ops@example.com"]
ca_file = "mail-ca.pem"
on_recovery = false
remind_after = "7d"

[[notify]]
kind = "github"
repository = "acme/ops"
secret = "env:GITHUB"
url = "https://github.example.com/api/v3"

[[notify]]
kind = "discord"
url = "env:DISCORD"

[[notify]]
kind = "teams"
url = "env:TEAMS"

[[notify]]
kind = "healthchecks"
url = "env:PING"
"#;

#[test]
fn every_key_has_its_effect() {
    let settings = from_file(FULL).unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hunter"), "{shown}");
    insta::assert_debug_snapshot!(settings);
}

#[test]
fn a_question_that_cannot_fail_is_refused() {
    let file = |assert: &str| {
        from_file(&format!(
            "[[source]]\nname = \"a\"\nurl = \"env:X\"\n[[source.drill.assert]]\nsql = \"select 1\"\n{assert}"
        ))
    };
    assert!(file("equals = true").is_ok());
    for idle in ["", "tolerance = 1.0", "equals = 1\ntolerance = -1.0"] {
        let error = file(idle).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{idle}: {error:?}");
        assert!(error.remedy().is_some());
    }
    assert!(from_file("[drill]\nevery = \"wekly\"").unwrap_err().to_string().contains("wekly"));
}

#[test]
fn every_snapshot_means_the_newest_must_be_drilled_a_period_leaves_slack() {
    let protection = |every: &str| {
        let text = format!(
            "[[source]]\nname = \"a\"\nurl = \"env:X\"\n[source.drill]\nevery = \"{every}\""
        );
        from_file(&text).unwrap().source("a").unwrap().protection
    };
    let each = protection("snapshot");
    assert_eq!((each.level, each.drill_interval), (backup_core::VerifyLevel::Drilled, None));
    let weekly = protection("weekly").drill_interval.unwrap();
    assert_eq!(weekly.as_secs(), 7 * 86_400 * 13 / 12);
    assert_eq!(protection("10d").drill_interval.unwrap().as_secs(), 10 * 86_400 * 13 / 12);
}

#[test]
fn wal_is_received_of_sources_that_are_copied_physically() {
    let wal = |all: &str, own: &str| {
        let text = format!("{all}\n[[source]]\nname = \"a\"\nurl = \"env:X\"\n{own}\n");
        from_file(&text).map(|settings| settings.source("a").unwrap().wal.clone())
    };
    let physical = "backup.mode = \"physical\"\nwal.stream = true\n";
    assert_eq!(wal("", "").unwrap(), None);
    assert_eq!(wal("wal.stream = true", "").unwrap(), None, "rows have no use for it");
    let all = wal(physical, "").unwrap().unwrap();
    assert_eq!((all.slot, all.flush.as_secs(), all.max_lag.as_secs()), (None, 10, 300));
    let own = wal("wal.max_lag = \"1m\"", &format!("{physical}wal.slot = \"s\"")).unwrap().unwrap();
    assert_eq!((own.slot.as_deref(), own.max_lag.as_secs()), (Some("s"), 60));
    assert_eq!(wal(physical, "wal.stream = false").unwrap(), None);
    // What cannot be kept is said, not replaced.
    for odd in ["wal.flush = \"0s\"", "wal.max_lag = \"0s\"", "wal.max_lag = \"19s\""] {
        let error = wal(physical, odd).unwrap_err();
        assert!(error.to_string().contains("wal.max_lag"), "{odd}: {error}");
    }
    let quick = wal(physical, "wal = { flush = \"1s\", max_lag = \"11s\" }").unwrap().unwrap();
    assert_eq!((quick.flush.as_secs(), quick.max_lag.as_secs()), (1, 11));
    let error = wal("", "wal.stream = true").unwrap_err();
    assert!(error.to_string().contains("wal.stream"), "{error}");
    assert!(error.remedy().unwrap().contains("physical"));
}

#[test]
fn snapshots_at_the_provider_are_scheduled_where_it_takes_them() {
    let scheduled = |provider: &str| {
        from_file(&format!(
            "[[source]]\nname = \"a\"\nurl = \"env:X\"\nprovider = \"{provider}\"\n\
             native.schedule = \"0 * * * *\"\n"
        ))
    };
    for able in ["neon", "planetscale", "railway"] {
        let settings = scheduled(able).unwrap();
        assert!(settings.source("a").unwrap().native.schedule.is_some(), "{able}");
    }
    for unable in ["postgres", "supabase"] {
        let error = scheduled(unable).unwrap_err();
        assert!(error.to_string().contains("source.native.schedule"), "{error}");
        assert!(error.remedy().unwrap().contains("schedule.backup"), "{unable}");
    }
}

#[test]
fn a_schedule_of_drills_is_a_promise_whose_first_one_is_awaited() {
    let protection = |more: &str| {
        let text = format!(
            "schedule.drill = \"0 6 * * sun\"\n{more}[[source]]\nname = \"a\"\nurl = \"env:X\"\n"
        );
        from_file(&text).unwrap().source("a").unwrap().protection
    };
    let scheduled = protection("");
    assert_eq!(scheduled.drill_interval.unwrap().as_secs(), 7 * 86_400 * 13 / 12);
    assert!(scheduled.drill_awaited);
    let stated = protection("drill.every = \"monthly\"\n");
    assert_eq!(stated.drill_interval.unwrap().as_secs(), 31 * 86_400 * 13 / 12);
    assert!(!stated.drill_awaited);
    assert!(!protection("protection.level = \"drilled\"\n").drill_awaited);
    assert_eq!(protection("drill.every = \"snapshot\"\n").drill_interval, None);
}

#[test]
fn drills_to_a_point_need_a_cluster_and_those_from_nothing_a_key() {
    let schedule = |all: &str, own: &str| {
        let text = format!("{all}\n[[source]]\nname = \"a\"\nurl = \"env:X\"\n{own}\n");
        from_file(&text).map(|settings| settings.source("a").unwrap().clone())
    };
    let point = "schedule.point_drill = \"0 7 * * sat\"";
    let physical = "backup.mode = \"physical\"";
    assert_eq!(schedule(point, "").unwrap().schedule.point_drill, None, "it concerns clusters");
    let cluster = schedule(point, physical).unwrap();
    assert!(cluster.schedule.point_drill.is_some());
    assert_eq!(cluster.drill.point, DrillPoint::Latest);
    let own = schedule("drill.point = \"latest\"", "drill.point = \"6h\"").unwrap();
    assert_eq!(own.drill.point, DrillPoint::Before("6h".parse().unwrap()));
    let error = schedule("", point).unwrap_err();
    assert!(error.to_string().contains("source.schedule.point_drill"), "{error}");
    assert!(error.remedy().unwrap().contains("physical"));
    let error = schedule("drill.point = \"yesterday\"", "").unwrap_err();
    assert!(error.to_string().contains("yesterday"), "{error}");

    let nothing = "schedule.disaster_drill = \"0 9 1 */3 *\"";
    let error = schedule(nothing, "").unwrap_err();
    assert!(error.to_string().contains("drill.sheet"), "{error}");
    let held = schedule(nothing, "drill.sheet = \"command:vault read sheet\"").unwrap();
    assert_eq!(held.drill.sheet.unwrap().setting(), "source.drill.sheet");
}

/// The full file above must stay full: every key of the reference occurs in it.
#[test]
fn the_full_file_uses_every_key() {
    let reference = backup_config::reference();
    for line in reference.lines().filter(|line| line.starts_with("| `")) {
        let path = line.split('`').nth(1).unwrap();
        if path.chars().any(|c| c.is_ascii_uppercase()) {
            continue;
        }
        let last = path.rsplit('.').next().unwrap();
        // Single rules of the policy are one mechanism; the tests of policies cover each.
        assert!(
            FULL.contains(last)
                || last.starts_with("keep_")
                || last.contains("no_priv")
                || last.contains("create_roles")
                || last.contains("on_failure"),
            "{path}"
        );
    }
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let mut text = String::new();
    for file in [
        "[repository]\nurl = \"/r\"\npassphrse = \"hunter2\"",
        "[repositry]\nurl = \"/r\"",
        "[[source]]\nname = \"a\"\nurl = \"env:A\"\n[[source]]\nnmae = \"b\"",
        "[[source]]\nname = \"a\"\nprotection = { rpo = \"26h\", lvel = \"read\" }",
        "colour = \"red\"",
        "[repository]\ntimeout = \"fast\"",
        "[repository]\npassphrase = 12345678",
        "[repository]\npassphrase = [\"hunter2\"]",
        "[repository]\nattempts = \"three\"",
        "[repository]\nattempts = -1",
        "[repository]\ndelta = \"onn\"",
        "[repository]\nurl = \"s3://AKIA:hunter2@bucket\"",
        "[repository]\nurl = \"/r\"\naccess_key_id = \"AKIA\"",
        "[retention]\npolicy = \"7 dayly\"",
        "[schedule]\n  backup = \"61 * * * *\"",
        "[protection]\nlevel = \"verified\"",
        "zone = \"Europe/Berln\"",
        "[backup]\njobs = 0",
        "[backup]\nmax_rate = \"0\"",
        "[[source]]\nname = \"a/b\"",
        "[[source]]\nname = \"a\"",
        "[[source]]\nname = \"a\"\nurl = \"hunter2\"",
        "[[source]]\nurl = \"env:UNSET\"",
        "[repository]\nurl = \"/r\"\n[[source]]\nname = \"b\"\nurl = \"env:B\"\n[[source]]\n  name = \"a\"\n  url = \"hunter2\"",
        "[[source]]\nname = \"a\"\nurl = \"postgres://h/d\"\n[[source]]\nname = \"a\"\nurl = \"postgres://h/e\"",
        "[[notify]]\nkind = \"slak\"\nurl = \"env:X\"",
        "[[notify]]\nkind = \"slack\"",
        "[[hook]]\non = \"befor\"\ncommand = [\"true\"]",
        "[[hook]]\non = \"before\"",
        "[[hook]]\non = \"after\"\ncommand = [\"true\"]\nurl = \"hunter2\"",
        "[[hook]]\non = \"after\"\nsources = [\"nobody\"]\ncommand = [\"true\"]",
        "[daemon]\nlisten = \"everywhere\"",
        "[daemon]\nattempts = 0",
        "[schedule]\nblackout = [\"8-18\"]",
        "[[notify]]\nkind = \"slack\"\nurl = \"env:X\"\ntemplate = \"{}\"",
        "[[notify]]\nkind = \"email\"\nurl = \"env:X\"\nfrom = \"a@b.c\"",
        "[[notify]]\nkind = \"pagerduty\"",
        "[[notify]]\nkind = \"github\"\nsecret = \"env:X\"",
        "[[notify]]\nkind = \"teams\"\nurl = \"env:X\"\nseverity = \"high\"",
        "[[notify]]\nkind = \"discord\"\nurl = \"env:X\"\nremind_after = \"sometimes\"",
        "[[notify]]\nkind = \"discord\"\nurl = \"env:X\"\nname = \"a\"\n[[notify]]\nkind = \"teams\"\nurl = \"env:X\"\n  name = \"a\"",
        "[repository\nurl = 1",
        "a = 1\na = 2",
        "[repository]\nurl = \"ä\", passphrase = \"hunter2\"",
    ] {
        let error = match from_file(file) {
            Err(error) => error,
            Ok(settings) => panic!("{file}: {settings:?}"),
        };
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{file}");
        let shown = format!("{error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("12345678"), "{shown}");
        let file = file.replace('\n', " ⏎ ");
        text.push_str(&format!("{file}\n  {error}\n  {}\n", error.remedy().unwrap()));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_environment_beats_the_file() {
    let pairs = [
        ("BACKUP_PASSPHRASE", "hunter2"),
        ("BACKUP_RETENTION_DAYS", "30"),
        ("BACKUP_RPO", "1h"),
        ("BACKUP_CRON", "0 1 * * *"),
        ("BACKUP_JOBS", "2"),
        ("BACKUP_ZONE", "UTC"),
        ("AWS_ENDPOINT_URL", "https://other.example.com"),
    ];
    let settings = load(&Overrides::default(), &pairs, Some(FULL)).unwrap();
    let repository = settings.repository().unwrap();
    assert_eq!(repository.keys[0].secret().setting(), "BACKUP_PASSPHRASE");
    assert_eq!(repository.keys[1].secret().setting(), "repository.key");
    assert_eq!(repository.endpoint.as_deref(), Some("https://other.example.com"));
    assert_eq!(settings.zone.iana_name(), Some("UTC"));
    for source in &settings.sources {
        assert_eq!(source.retention.daily, 30);
        assert_eq!(source.protection.rpo.to_string(), "1h");
        let group = settings.groups.iter().find(|group| group.sources.contains(&source.name));
        let schedule = group.map_or(&source.schedule, |group| &group.schedule);
        assert_eq!(schedule.backup.as_ref().unwrap().as_str(), "0 1 * * *");
        assert_eq!(source.jobs.unwrap().get(), 2);
    }
    assert_eq!(
        settings.source("shop").unwrap().retention.to_string(),
        "30 daily, 4 weekly, 12 monthly, within 14d"
    );
    assert_eq!(settings.source("uploads").unwrap().retention.to_string(), "last 3, 30 daily");
}

#[test]
fn a_url_of_the_environment_takes_the_place_of_the_right_source() {
    let url = ("DATABASE_URL", "postgres://env@db/other");
    let one = "[[source]]\nname = \"shop\"\nurl = \"env:SHOP\"\n";
    let two = format!("{one}[[source]]\nname = \"crm\"\nurl = \"env:CRM\"\nprovider = \"mysql\"\n");
    let urls = |pairs: &[(&str, &str)], file: &str| {
        let settings = load(&Overrides::default(), pairs, Some(file)).unwrap();
        let urls: Vec<String> =
            settings.sources.iter().map(|s| format!("{}={}", s.name, s.url.place())).collect();
        (urls.join(" "), settings.notes)
    };
    let (sources, notes) = urls(&[url], one);
    assert_eq!(sources, "shop=environment variable DATABASE_URL");
    assert_eq!(notes, ["DATABASE_URL takes the place of the URL of source shop"]);
    let (sources, notes) = urls(&[url], &two);
    assert_eq!(sources, "shop=environment variable SHOP crm=environment variable CRM");
    assert!(notes[0].contains("several sources"), "{notes:?}");
    let (sources, _) = urls(&[url, ("BACKUP_SOURCE", "crm")], &two);
    assert_eq!(sources, "shop=environment variable SHOP crm=environment variable DATABASE_URL");
    for url in [url, ("DATABASE_URL_FILE", "/run/url"), ("DATABASE_URL_COMMAND", "true")] {
        let same = "[[source]]\nname = \"shop\"\nurl = \"env:DATABASE_URL\"\n";
        let (_, notes) = urls(&[url], same);
        assert!(notes.is_empty(), "{notes:?}");
    }
    let error = load(&Overrides::default(), &[("BACKUP_SOURCE", "shpo")], Some(&two)).unwrap_err();
    assert!(error.remedy().unwrap().starts_with("Did you mean 'shop'?"), "{error:?}");
}

#[test]
fn a_url_that_is_not_needed_now_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("ran");
    let file = format!(
        "[[source]]\nname = \"a\"\nurl = \"env:UNSET\"\n\
         [[source]]\nname = \"b\"\nurl = \"file:/nowhere\"\n\
         [[source]]\nname = \"c\"\nurl = \"command:touch {}; echo mysql://h/c\"\n",
        trace.display()
    );
    let settings = from_file(&file).unwrap();
    assert!(settings.sources.iter().all(|source| source.provider == ProviderKind::Postgres));
    assert!(!trace.exists());
    let error = secrets(&Environment::default()).resolve(&settings.sources[0].url).unwrap_err();
    assert_eq!(
        error.to_string(),
        "read secret (setting: source.url of a, from: environment variable UNSET): it is empty"
    );
}

#[test]
fn one_webhook_is_told_once() {
    let file =
        "[[notify]]\nkind = \"slack\"\nurl = \"env:SLACK_WEBHOOK_URL\"\non_success = false\n";
    for pair in [
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/x"),
        ("SLACK_WEBHOOK_URL_COMMAND", "echo https://hooks.slack.com/x"),
    ] {
        let settings = load(&Overrides::default(), &[pair], Some(file)).unwrap();
        assert_eq!(settings.notify.len(), 1);
        assert!(!settings.notify[0].on_success);
        let url = settings.notify[0].channel.secrets()[0];
        let url = secrets(&Environment::from_pairs([pair])).resolve(url);
        assert_eq!(url.unwrap().expose(), "https://hooks.slack.com/x");
    }
}

#[test]
fn channels_of_the_environment_join_those_of_the_file() {
    let pairs = [
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/hunter2"),
        ("DISCORD_WEBHOOK_URL", "https://discord.com/hunter2"),
        ("TEAMS_WEBHOOK_URL", "https://teams.example.com/hunter2"),
        ("PAGERDUTY_ROUTING_KEY", "hunter2"),
        ("HEALTHCHECKS_PING_URL", "https://hc-ping.com/hunter2"),
        ("BACKUP_SMTP_URL", "smtp://u:hunter2@mail.example.com"),
        ("BACKUP_EMAIL_FROM", "a@b.c"),
        ("BACKUP_EMAIL_TO", "x@y.z, v@w.x,"),
        ("BACKUP_GITHUB_REPOSITORY", "acme/ops"),
        ("BACKUP_GITHUB_TOKEN", "hunter2"),
    ];
    let file = "[[notify]]\nkind = \"slack\"\nurl = \"env:OTHER\"";
    let settings = load(&Overrides::default(), &pairs, Some(file)).unwrap();
    let names: Vec<&str> = settings.notify.iter().map(|one| one.name.as_str()).collect();
    let all =
        ["slack", "slack-2", "discord", "teams", "healthchecks", "pagerduty", "email", "github"];
    assert_eq!(names, all);
    assert!(!format!("{settings:?}").contains("hunter2"));
    let ChannelSettings::Email { to, .. } = &settings.notify[6].channel else { panic!() };
    assert_eq!(*to, ["x@y.z", "v@w.x"]);
    for missing in ["BACKUP_EMAIL_TO", "BACKUP_GITHUB_TOKEN"] {
        let some: Vec<(&str, &str)> =
            pairs.into_iter().filter(|(name, _)| *name != missing).collect();
        let error = load(&Overrides::default(), &some, None).unwrap_err();
        assert!(error.to_string().contains(missing), "{error}");
    }
}

#[test]
fn sources_are_selected_by_name() {
    let settings = from_file(FULL).unwrap();
    let names = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        settings.select(&names).map(|s| s.iter().map(|s| s.name.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(names(&[]).unwrap(), ["shop", "ledger", "desk", "crm", "uploads"]);
    assert_eq!(names(&["uploads"]).unwrap(), ["uploads"]);
    let error = names(&["upload"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.remedy(),
        Some("Did you mean 'uploads'? Configured are shop, ledger, desk, crm, uploads.")
    );
}

#[test]
fn the_file_is_found_or_missed_clearly() {
    let directory = tempfile::tempdir().unwrap();
    let find = |explicit: Option<&str>| ConfigFile::find(explicit.map(Path::new), directory.path());
    assert_eq!(find(None).unwrap(), None);
    let error = find(Some("other.toml")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("other.toml"), "{error}");
    std::fs::write(directory.path().join("backup.toml"), FULL).unwrap();
    let file = find(None).unwrap().unwrap();
    assert!(!format!("{file:?}").contains("hunter"));
    // Paths in the file start where the file is.
    let environment = Environment::default();
    let settings = Settings::load(&Inputs {
        overrides: &Overrides::default(),
        environment: &environment,
        file: Some(&file),
        directory: Path::new("/"),
        secrets: &secrets(&environment),
    })
    .unwrap();
    let repository = settings.repository().unwrap();
    assert_eq!(repository.ca_file.as_deref(), Some(directory.path().join("ca.pem").as_path()));
    let key = directory.path().join("keys/main");
    assert_eq!(repository.keys[0].secret().place(), format!("file {}", key.display()));
}

fn facts(location: &str) -> TemplateFacts {
    TemplateFacts {
        repository: Some("s3://bucket/it's \"quoted\"\\".into()),
        source: "shop".parse().unwrap(),
        provider: ProviderKind::Postgres,
        location: location.into(),
        url_variable: "DATABASE_URL".into(),
    }
}

#[test]
fn the_template_is_valid() {
    let text = template(&facts("app@db.example.com:5432/shop"));
    insta::assert_snapshot!(text);
    let settings = from_file(&text).unwrap();
    assert_eq!(settings.repository().unwrap().url, "s3://bucket/it's \"quoted\"\\");
    assert_eq!(
        settings.source("shop").unwrap().retention.to_string(),
        "7 daily, 4 weekly, 12 monthly"
    );
    assert!(settings.notes.is_empty(), "{:?}", settings.notes);
    let without = template(&TemplateFacts { repository: None, ..facts("x") });
    assert!(from_file(&without).unwrap().repository.is_none());
    let pairs = [("BACKUP_REPOSITORY", "/r")];
    assert!(load(&Overrides::default(), &pairs, Some(&without)).unwrap().repository.is_some());
    assert!(from_env(&pairs).is_ok());
}

/// What is commented out in the template is valid too.
#[test]
fn the_template_is_valid_with_its_suggestions() {
    let text = template(&facts("x"));
    let lines: Vec<&str> = text
        .lines()
        .map(|line| {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            let setting = bare.starts_with('[')
                || bare.split_once(" = ").is_some_and(|(key, _)| {
                    key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                });
            if setting { bare } else { line }
        })
        .collect();
    let settings = from_file(&lines.join("\n")).unwrap();
    assert_eq!(settings.notify.len(), 1);
    assert!(settings.source("shop").unwrap().max_rate.is_some());
}

#[test]
fn the_documentation_holds_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- reference: begin -->\n", "<!-- reference: end -->");
    let from = text.find(begin).unwrap() + begin.len();
    let to = text.find(end).unwrap();
    let reference = format!("\n{}\n", backup_config::reference());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{}{reference}{}", &text[..from], &text[to..])).unwrap();
        return;
    }
    assert!(
        text[from..to] == reference,
        "run this test with UPDATE_DOCS=1 and look at the difference"
    );
}

#[test]
fn accounts_are_kept_of_servers_that_have_them() {
    let tree = "[[source]]\nname = \"uploads\"\npath = \"/srv/uploads\"\n";
    let error = from_file(&format!("{tree}backup = {{ users = true }}\n")).unwrap_err();
    assert!(error.to_string().contains("source.backup.users"), "{error}");
    // What holds for all sources holds for those that can.
    let shop = "[[source]]\nname = \"shop\"\nurl = \"mysql://app@db/shop\"\n";
    let settings = from_file(&format!("[backup]\nusers = true\n{tree}{shop}")).unwrap();
    assert!(!settings.source("uploads").unwrap().users);
    assert!(settings.source("shop").unwrap().users);
}

#[test]
fn every_key_has_a_meaning() {
    for line in backup_config::reference().lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        assert!(cells.last().unwrap().len() > 3, "{line}");
    }
}

#[test]
fn the_schema_describes_the_file() {
    let schema = backup_config::schema();
    assert_eq!(schema["title"], "backup.toml");
    assert_eq!(schema["additionalProperties"], false);
    insta::assert_snapshot!(serde_json::to_string_pretty(&schema).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "(\\[{1,2}[a-z.]{0,12}\\]{1,2}|[a-z_]{1,8} = (\"\\PC{0,9}\"|[0-9.]{1,4}|\\{\\})|\\PC{0,9}|\n){0,12}") {
        let _ = from_file(&text);
    }

    #[test]
    fn a_template_of_anything_is_valid(location in ".*", repository in "\\PC{0,20}") {
        prop_assume!(!repository.contains('@'));
        let text = template(&TemplateFacts { repository: Some(repository.clone()), ..facts(&location) });
        let settings = from_file(&text).unwrap();
        prop_assert_eq!(&settings.repository().unwrap().url, &repository);
    }
}

#[test]
fn the_daemons_address_on_the_net_is_described_in_the_file_and_by_variables() {
    let text = "[daemon]\ntls_certificate = \"tls/cert.pem\"\ntls_key = \"/etc/key.pem\"\n\
                hosts = [\"backup.example\", \"\"]\nopen_writes = true\n";
    let daemon = from_file(text).unwrap().daemon;
    let tls = daemon.tls.unwrap();
    assert!(tls.certificate.is_absolute() && tls.certificate.ends_with("tls/cert.pem"));
    assert_eq!(tls.key, std::path::Path::new("/etc/key.pem"));
    assert_eq!(daemon.hosts, ["backup.example"]);
    assert!(daemon.open_writes);
    let error = from_file("[daemon]\ntls_key = \"key.pem\"\n").unwrap_err();
    assert!(error.to_string().contains("line"), "{error}");
    assert!(error.remedy().unwrap().contains("daemon.tls_certificate"), "{error}");
}
