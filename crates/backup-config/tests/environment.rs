//! Zero-config: the environment alone.

#![allow(clippy::unwrap_used)]

mod common;

use backup_config::{Environment, KeyRef, NotifyKind, Overrides, ProviderKind};
use backup_core::{ByteSize, ErrorKind, Secret};
use common::{from_env, load, secrets};

#[test]
fn five_variables_suffice() {
    let pairs = [
        ("BACKUP_REPOSITORY", "s3://bucket/prefix?endpoint=https://s3.example.com"),
        ("BACKUP_PASSPHRASE", "hunter2"),
        ("DATABASE_URL", "postgres://app:hunter3@db/shop"),
        ("DB_PROVIDER", "postgresql"),
        ("BACKUP_SOURCE", "crm"),
    ];
    let settings = from_env(&pairs).unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hunter"), "{shown}");
    insta::assert_debug_snapshot!(settings);
    let without = from_env(&pairs[..3]).unwrap();
    let source = without.source("shop").unwrap();
    assert_eq!(source.provider, ProviderKind::Postgres);
    let secrets = secrets(&Environment::from_pairs(pairs));
    assert_eq!(secrets.resolve(&source.url).unwrap().expose(), "postgres://app:hunter3@db/shop");
    assert!(matches!(without.repository().unwrap().key().unwrap(), KeyRef::Passphrase(_)));
}

#[test]
fn nothing_set_says_what_to_set() {
    let settings = from_env(&[]).unwrap();
    let hint = |error: backup_core::Error| error.remedy().unwrap().to_owned();
    assert!(hint(settings.repository().unwrap_err()).contains("BACKUP_REPOSITORY"));
    assert!(hint(settings.select(&[]).unwrap_err()).contains("DATABASE_URL"));
    let settings = from_env(&[("BACKUP_REPOSITORY", "/r")]).unwrap();
    assert!(hint(settings.repository().unwrap().key().unwrap_err()).contains("BACKUP_PASSPHRASE"));
}

#[test]
fn providers_are_detected_in_order() {
    let url = |name: &'static str| (name, "postgres://app@db/shop");
    for (pairs, setting, provider) in [
        (vec![url("DATABASE_URL")], "DATABASE_URL", ProviderKind::Postgres),
        (
            vec![url("DATABASE_URL"), url("RAILWAY_DATABASE_URL")],
            "RAILWAY_DATABASE_URL",
            ProviderKind::Railway,
        ),
        (vec![url("RAILWAY_DB_URL"), url("NEON_DB_URL")], "NEON_DB_URL", ProviderKind::Neon),
        (
            vec![url("NEON_DB_URL"), url("PLANETSCALE_DB_URL")],
            "PLANETSCALE_DB_URL",
            ProviderKind::Planetscale,
        ),
        (
            vec![url("PLANETSCALE_DB_URL"), url("SUPABASE_DATABASE_URL")],
            "SUPABASE_DATABASE_URL",
            ProviderKind::Supabase,
        ),
        (
            vec![url("SUPABASE_DB_URL"), url("SUPABASE_DATABASE_URL")],
            "SUPABASE_DB_URL",
            ProviderKind::Supabase,
        ),
        (
            vec![url("SUPABASE_DB_URL"), url("NEON_DB_URL"), ("DB_PROVIDER", "neon")],
            "NEON_DB_URL",
            ProviderKind::Neon,
        ),
        (
            vec![url("SUPABASE_DB_URL"), url("DATABASE_URL"), ("DB_PROVIDER", "neon")],
            "DATABASE_URL",
            ProviderKind::Neon,
        ),
        (vec![("DATABASE_URL", "mysql://app@db/shop")], "DATABASE_URL", ProviderKind::Mysql),
        (vec![("DATABASE_URL", "file:///srv/shop")], "DATABASE_URL", ProviderKind::Files),
    ] {
        let settings = from_env(&pairs).unwrap();
        let source = settings.source("shop").unwrap();
        assert_eq!((source.url.setting(), source.provider), (setting, provider));
    }
    for word in
        ["postgres", "postgresql", "supabase", "planetscale", "neon", "railway", "mysql", "files"]
    {
        assert!(from_env(&[("DB_PROVIDER", word)]).is_ok(), "{word}");
    }
}

#[test]
fn a_database_may_be_spelt_out_and_a_host_tells_whose_it_is() {
    let settings = from_env(&[
        ("SUPABASE_DB_HOST", "db.example.com"),
        ("SUPABASE_DB_PORT", "6000"),
        ("SUPABASE_DB_NAME", "shop"),
        ("SUPABASE_DB_USER", "app"),
        ("SUPABASE_DB_PASSWORD", "hunter@2"),
        ("SUPABASE_ACCESS_TOKEN", "hunter7"),
    ])
    .unwrap();
    let source = settings.source("shop").unwrap();
    assert_eq!(source.provider, ProviderKind::Supabase);
    assert!(source.supabase.as_ref().unwrap().access_token.is_some());
    let secrets = secrets(&Environment::from_pairs([("X", "1")]));
    let url = secrets.resolve(&source.url).unwrap();
    assert_eq!(url.expose(), "postgres://app:hunter%402@db.example.com:6000/shop");
    assert!(!format!("{settings:?}").contains("hunter"));

    let settings = from_env(&[
        ("DB_HOST", "monorail.proxy.rlwy.net"),
        ("DB_NAME", "shop"),
        ("RAILWAY_TOKEN", "hunter8"),
        ("RAILWAY_DEPLOYMENT_ID", "d-1"),
    ])
    .unwrap();
    let source = settings.source("shop").unwrap();
    assert_eq!(source.provider, ProviderKind::Railway);
    assert!(source.railway.as_ref().unwrap().inside);
    // Another program's variables never take the place of what is written down.
    let both = [("DATABASE_URL", "postgres://app@db/crm"), ("DB_HOST", "h"), ("DB_NAME", "shop")];
    assert!(from_env(&both).unwrap().source("crm").is_ok());
}

#[test]
fn names_of_older_setups_keep_working() {
    let settings = from_env(&[
        ("BACKUP_DIR", "backups"),
        ("BACKUP_ENCRYPTION_KEY", "hunter2"),
        ("NEON_DATABASE_URL", "postgres://app@db/shop"),
        ("NEON_API_KEY", "hunter3"),
        ("NEON_PROJECT_ID", "quiet-sun-1"),
        ("BACKUP_RETENTION_DAYS", "30"),
        ("BACKUP_RETENTION_WEEKS", "12"),
        ("BACKUP_RETENTION_MONTHS", "6"),
        ("BACKUP_CRON", "0 2 * * *"),
        ("BACKUP_NOTIFY_SUCCESS", "false"),
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/hunter4"),
        ("BACKUP_WEBHOOK_URL", "https://example.com/hunter5"),
        ("AWS_ACCESS_KEY_ID", "AKIA1"),
        ("AWS_SECRET_ACCESS_KEY", "hunter6"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
    ])
    .unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hunter"), "{shown}");
    insta::assert_debug_snapshot!(settings);
    assert!(settings.notify.iter().all(|n| n.on_failure && !n.on_success));
    assert_eq!(settings.notify[0].channel.kind(), NotifyKind::Slack);
}

#[test]
fn the_first_of_several_names_of_the_repository_counts() {
    let all =
        [("BACKUP_REPOSITORY", "/first"), ("S3_BACKUP_BUCKET", "third"), ("BACKUP_DIR", "/fourth")];
    let url = |pairs: &[(&str, &str)], file: Option<&str>| {
        load(&Overrides::default(), pairs, file).unwrap().repository().unwrap().url.clone()
    };
    let file = Some("[repository]\nurl = \"/second\"");
    assert_eq!(url(&all, file), "/first");
    assert_eq!(url(&all[1..], file), "/second");
    assert_eq!(url(&all[1..], None), "s3://third");
    assert_eq!(url(&all[2..], None), "/fourth");
    assert_eq!(url(&[("BACKUP_DIR", "rel")], None), "/srv/app/rel");
    let flags = Overrides { repository: Some("/flag".into()), ..Overrides::default() };
    assert_eq!(load(&flags, &all, file).unwrap().repository().unwrap().url, "/flag");
}

#[test]
fn unusable_values_name_their_variable() {
    let mut text = String::new();
    for (name, value) in [
        ("DB_PROVIDER", "postgre"),
        ("DB_PROVIDER", "oracle"),
        ("BACKUP_SOURCE", "a/b"),
        ("BACKUP_RETENTION", "7 dayly"),
        ("BACKUP_RETENTION_DAYS", "thirty"),
        ("BACKUP_RETENTION_WEEKS", "-1"),
        ("BACKUP_CRON", "0 2 * *"),
        ("BACKUP_RPO", "26"),
        ("BACKUP_JOBS", "0"),
        ("BACKUP_MAX_RATE", "fast"),
        ("BACKUP_ZONE", "Mars/Olympus"),
        ("BACKUP_NOTIFY_SUCCESS", "maybe"),
        ("BACKUP_REPOSITORY", "s3://AKIA:hunter2@bucket"),
        ("DATABASE_URL", "hunter2"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
    ] {
        let error = from_env(&[("BACKUP_REPOSITORY", "/r"), (name, value)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        assert!(error.to_string().contains(name), "{name}: {error}");
        text.push_str(&format!("{error}\n  {}\n", error.remedy().unwrap()));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_secret_has_one_place() {
    let error = from_env(&[
        ("BACKUP_REPOSITORY", "/r"),
        ("BACKUP_PASSPHRASE", "hunter2"),
        ("BACKUP_PASSPHRASE_FILE", "/run/secrets/p"),
    ])
    .unwrap_err();
    let shown = format!("{error:?}");
    assert!(shown.contains("BACKUP_PASSPHRASE and BACKUP_PASSPHRASE_FILE"), "{shown}");
    assert!(!shown.contains("hunter2"));
}

#[test]
fn secrets_come_from_values_files_and_commands() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p");
    std::fs::write(&path, "from file\r\n").unwrap();
    let path = path.to_str().unwrap();
    for (name, value, secret) in [
        ("BACKUP_PASSPHRASE", "file:/not/a/reference", "file:/not/a/reference"),
        ("BACKUP_PASSPHRASE_FILE", path, "from file"),
        ("BACKUP_PASSPHRASE_COMMAND", "echo noise >&2; echo from command", "from command"),
        ("BACKUP_KEY_FILE", path, "from file"),
        ("BACKUP_ENCRYPTION_KEY_FILE", path, "from file"),
    ] {
        let pairs = [("BACKUP_REPOSITORY", "/r"), (name, value)];
        let settings = from_env(&pairs).unwrap();
        let key = settings.repository().unwrap().key().unwrap();
        assert_eq!(matches!(key, KeyRef::KeyFile(_)), name.starts_with("BACKUP_KEY"));
        let read = secrets(&Environment::from_pairs(pairs)).resolve(key.secret()).unwrap();
        assert_eq!(read.expose(), secret, "{name}");
    }
}

#[test]
fn secrets_that_cannot_be_read_say_where_and_show_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    for (name, value, part) in [
        ("BACKUP_PASSPHRASE_FILE", "/nowhere/p", "/nowhere/p"),
        ("BACKUP_PASSPHRASE_FILE", empty.to_str().unwrap(), "it is empty"),
        ("BACKUP_PASSPHRASE_COMMAND", "echo hunter2; echo hunter2 >&2; exit 4", "exit status: 4"),
        ("BACKUP_PASSPHRASE_COMMAND", "true", "it is empty"),
    ] {
        let pairs = [("BACKUP_REPOSITORY", "/r"), (name, value)];
        let settings = from_env(&pairs).unwrap();
        let key = settings.repository().unwrap().key().unwrap().secret();
        let error = secrets(&Environment::from_pairs(pairs)).resolve(key).unwrap_err();
        let shown = format!("{error:?}");
        assert!(shown.contains(part) && shown.contains(name), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn flags_beat_the_environment() {
    let flags = Overrides {
        database_url: Some(Secret::new("postgres://flag@db/flag")),
        source: Some("named".parse().unwrap()),
        jobs: Some(3.try_into().unwrap()),
        max_rate: Some(ByteSize(1)),
        retention: Some("last 1".parse().unwrap()),
        ..Overrides::default()
    };
    let pairs = [
        ("DATABASE_URL", "postgres://env@db/env"),
        ("BACKUP_JOBS", "9"),
        ("BACKUP_MAX_RATE", "9MiB"),
        ("BACKUP_RETENTION_DAYS", "9"),
    ];
    let settings = load(&flags, &pairs, None).unwrap();
    let source = settings.source("named").unwrap();
    assert_eq!(source.jobs.unwrap().get(), 3);
    assert_eq!(source.max_rate, Some(ByteSize(1)));
    assert_eq!(source.retention.to_string(), "last 1");
    let url = secrets(&Environment::default()).resolve(&source.url).unwrap();
    assert_eq!(url.expose(), "postgres://flag@db/flag");
}

#[test]
fn misspelt_variables_are_noticed() {
    let settings =
        from_env(&[("BACKUP_PASSPHRSE", "hunter2"), ("BACKUP_COMPRESSION", "x")]).unwrap();
    assert_eq!(
        settings.notes,
        ["BACKUP_PASSPHRSE is set, but means nothing; did you mean BACKUP_PASSPHRASE?"]
    );
}

#[test]
fn a_host_that_belongs_to_a_vendor_says_who_hosts_the_source() {
    for (url, provider) in [
        (
            "postgres://a:b@ep-x-1-pooler.eu-central-1.aws.neon.tech/d?sslmode=require",
            ProviderKind::Neon,
        ),
        (
            "postgresql://a@db.abcdefghijklmnopqrst.supabase.co:5432/postgres",
            ProviderKind::Supabase,
        ),
        ("postgres://a@aws-0-eu-central-1.pooler.supabase.com/postgres", ProviderKind::Supabase),
        ("postgres://a.b:c@id-eu.horizon.psdb.cloud:6432/shop", ProviderKind::Planetscale),
        ("postgres://a:b@monorail.proxy.rlwy.net:12345/railway", ProviderKind::Railway),
        ("postgres://a:b@postgres.railway.internal/railway", ProviderKind::Railway),
        ("postgres://a:b@neon.tech.example.com/d", ProviderKind::Postgres),
        ("postgres://a:b@notneon.tech/d", ProviderKind::Postgres),
        ("postgres://x.neon.tech:b@db/d", ProviderKind::Postgres),
        ("mysql://a:b@aws.connect.psdb.cloud/shop", ProviderKind::Planetscale),
        ("mysql://a:b@monorail.proxy.rlwy.net:12345/railway", ProviderKind::Mysql),
    ] {
        let settings = from_env(&[("DATABASE_URL", url)]).unwrap();
        assert_eq!(settings.sources[0].provider, provider, "{url}");
    }
    let stated =
        [("DATABASE_URL", "postgres://a@ep-x-1.eu.aws.neon.tech/d"), ("DB_PROVIDER", "postgres")];
    assert_eq!(
        from_env(&stated).unwrap().sources[0].provider,
        ProviderKind::Postgres,
        "what is stated counts"
    );
}
