//! URLs: what they mean, what is refused, and that nothing shows the password.

use std::collections::BTreeMap;
use std::path::Path;

use backup_core::{ErrorKind, Secret};
use backup_postgres::{ConnectOptions, Host, SslMode};

use crate::support::options;

#[test]
fn a_full_url_is_understood() {
    let o = options(
        "postgresql://me%40corp:p%40ss%3Aw%2Frd@db.example.com:6543/sh%20op?sslmode=require",
    );
    assert_eq!((o.user(), o.database(), o.port()), ("me@corp", "sh op", 6543));
    assert_eq!(o.host(), &Host::Tcp { name: "db.example.com".into(), address: None });
    assert_eq!(o.ssl_mode(), SslMode::Require);
    assert_eq!(o.location(), "me@corp@db.example.com:6543/sh op");
    let env: BTreeMap<_, _> = o.libpq_env(17).into_iter().collect();
    assert_eq!(env["PGPASSWORD"], "p@ss:w/rd");
}

#[test]
fn hosts_come_in_many_shapes() {
    let socket = |path: &str| Host::Socket(path.into());
    let tcp = |name: &str| Host::Tcp { name: name.into(), address: None };
    for (url, host, port) in [
        ("postgres://u@%2Ftmp%2Fpg:5433/d", socket("/tmp/pg"), 5433),
        ("postgres://u@/d?host=/run/pg&port=5434", socket("/run/pg"), 5434),
        ("postgres:///d?user=u", socket("/var/run/postgresql"), 5432),
        ("postgres://", socket("/var/run/postgresql"), 5432),
        ("postgres://u@[::1]:5435/d", tcp("::1"), 5435),
        ("postgres://u@[2001:db8::1]", tcp("2001:db8::1"), 5432),
        ("postgres://u@localhost", tcp("localhost"), 5432),
        ("postgres://u@h:", tcp("h"), 5432),
        (
            "postgres://u@db.example.com/d?hostaddr=10.0.0.7",
            Host::Tcp { name: "db.example.com".into(), address: "10.0.0.7".parse().ok() },
            5432,
        ),
        (
            "postgres://u@/d?hostaddr=127.0.0.1",
            Host::Tcp { name: "127.0.0.1".into(), address: "127.0.0.1".parse().ok() },
            5432,
        ),
    ] {
        let o = options(url);
        assert_eq!((o.host(), o.port()), (&host, port), "{url}");
    }
}

#[test]
fn only_local_servers_are_trusted_by_default() {
    for (url, mode) in [
        ("postgres://u@db.example.com/d", SslMode::VerifyFull),
        ("postgres://u@10.0.0.1/d", SslMode::VerifyFull),
        ("postgres://u@localhost.evil.example/d", SslMode::VerifyFull),
        ("postgres://u@localhost/d?hostaddr=10.0.0.1", SslMode::VerifyFull),
        ("postgres://u@localhost/d?sslrootcert=system", SslMode::VerifyFull),
        ("postgres://u@localhost/d?sslrootcert=/ca.pem", SslMode::VerifyFull),
        ("postgres://u@localhost/d", SslMode::Prefer),
        ("postgres://u@127.0.0.9/d", SslMode::Prefer),
        ("postgres://u@[::1]/d", SslMode::Prefer),
        ("postgres:///d", SslMode::Prefer),
        ("postgres://u@db.example.com/d?sslmode=allow", SslMode::Prefer),
        ("postgres://u@db.example.com/d?sslmode=disable", SslMode::Disable),
        ("postgres://u@db.example.com/d?sslmode=verify-ca", SslMode::VerifyCa),
    ] {
        assert_eq!(options(url).ssl_mode(), mode, "{url}");
    }
}

#[test]
fn the_database_defaults_to_the_role_and_can_be_changed() {
    assert_eq!(options("postgres://app@localhost").database(), "app");
    let other = options("postgres://app@localhost/a").with_database("b").with_user("c");
    assert_eq!(other.location(), "c@localhost:5432/b");
}

#[test]
fn what_cannot_be_used_is_refused_with_its_name_and_a_remedy() {
    for (url, word) in [
        ("mysql://u@h/d", "postgres://"),
        ("u@h/d", "postgres://"),
        ("postgres://u@h/d?pgbouncer=true", "pgbouncer"),
        ("postgres://u@h/d?sslmode=maybe", "sslmode"),
        ("postgres://u@h/d?channel_binding=on", "channel_binding"),
        ("postgres://u@h/d?target_session_attrs=read-write", "target_session_attrs"),
        ("postgres://u@h/d?gssencmode=require", "gssencmode"),
        ("postgres://u@h/d?connect_timeout=soon", "connect_timeout"),
        ("postgres://u@h/d?keepalives=yes", "keepalives"),
        ("postgres://u@h/d?hostaddr=h2", "hostaddr"),
        ("postgres://u@h:0/d", "port"),
        ("postgres://u@h:99999/d", "port"),
        ("postgres://u@a,b/d", "several hosts"),
        ("postgres://u@h/d?sslmode", "no value"),
        ("postgres://u@h/d?sslcert=a.crt", "sslkey"),
        ("postgres://u@h/d?sslmode=require&sslrootcert=system", "verify-full"),
        ("postgres://u@h/d?sslmode=prefer&sslnegotiation=direct", "sslnegotiation"),
        ("postgres://u@[::1/d", "bracket"),
        ("postgres://u@%FF/d", "UTF-8"),
        ("postgres://u@h/d%00", "zero byte"),
        ("postgres://u@@sock/d?host=@abstract", "abstract"),
    ] {
        let error = ConnectOptions::parse(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{url}");
        let text = format!("{error} {}", error.remedy().unwrap_or_default());
        assert!(text.contains(word), "{url}: {text}");
    }
}

#[test]
fn passwords_that_were_not_encoded_are_explained_and_never_shown() {
    for url in [
        "postgres://u:hunter2#x@h/d",
        "postgres://u:hunter2/x@h/d",
        "postgres://u:hunter2?x@h/d",
        "postgres://u:hunter2%zz%ff@h/d",
        "postgres://u:hunter2@h/d?unknown=1",
        "postgres://u@h/d?password=hunter2&port=hunter2",
    ] {
        let error = ConnectOptions::parse(url).unwrap_err();
        let text = format!("{error} {error:?} {:?}", error.remedy());
        assert!(!text.contains("hunter2"), "{text}");
        assert!(error.remedy().is_some(), "{text}");
    }
}

#[test]
fn nothing_shows_the_password() {
    let plain = options("postgres://u:hunter2@h/d").with_password(Secret::new("hunter3"));
    for text in [format!("{plain}"), format!("{plain:?}"), format!("{plain:#?}"), plain.location()]
    {
        assert!(!text.contains("hunter"), "{text}");
    }
    assert!(plain.has_password());
}

#[test]
fn children_that_use_libpq_get_the_same_connection_by_environment() {
    let o = options(
        "postgres://u:pw@db.example.com:6000/d?options=-c%20geqo%3Doff&connect_timeout=7\
         &application_name=a&channel_binding=require&sslcert=/c&sslkey=/k&hostaddr=10.1.2.3",
    );
    let env: BTreeMap<_, _> = o.libpq_env(16).into_iter().collect();
    for (name, value) in [
        ("PGHOST", "db.example.com"),
        ("PGHOSTADDR", "10.1.2.3"),
        ("PGPORT", "6000"),
        ("PGUSER", "u"),
        ("PGDATABASE", "d"),
        ("PGPASSWORD", "pw"),
        ("PGOPTIONS", "-c geqo=off"),
        ("PGAPPNAME", "a"),
        ("PGCONNECT_TIMEOUT", "7"),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", "system"),
        ("PGSSLCERT", "/c"),
        ("PGSSLKEY", "/k"),
        ("PGCHANNELBINDING", "require"),
    ] {
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name}");
    }
    for name in env.keys() {
        assert!(ConnectOptions::libpq_env_removed().contains(&name.as_str()), "{name}");
    }
    // Before 16, libpq does not know `system`: a file is named, if there is one.
    let old: BTreeMap<_, _> = o.libpq_env(15).into_iter().collect();
    if let Some(file) = old.get("PGSSLROOTCERT") {
        assert!(Path::new(file).is_file(), "{file}");
    }
    let socket: BTreeMap<_, _> =
        options("postgres://u@/d?host=/run/pg").libpq_env(17).into_iter().collect();
    assert_eq!(socket["PGHOST"], "/run/pg");
    assert_eq!(socket["PGSSLMODE"], "prefer");
    assert!(!socket.contains_key("PGPASSWORD"));
    assert!(!socket.contains_key("PGSSLROOTCERT"));
}
