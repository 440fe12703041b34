//! Which provider speaks to which URL.

use std::path::Path;
use std::sync::Arc;

use backup_config::ProviderKind;
use backup_core::port::Provider;
use backup_core::{Error, ErrorKind, Result, Secret};
use backup_postgres::ConnectOptions;
use backup_postgres::tools::ToolPaths;
use backup_provider_mysql::MysqlProvider;
use backup_provider_postgres::{PostgresConfig, PostgresProvider};
use backup_provider_railway::{RailwayConfig, RailwayProvider};
use backup_provider_supabase::{Address, SupabaseConfig, SupabaseProvider};

/// Returns the provider for a database URL; connects to nothing. An engine that this version
/// does not speak is `Unsupported`.
pub fn provider(url: &str, tools: &ToolPaths) -> Result<Arc<dyn Provider>> {
    refuse_unknown_engines(url)?;
    at(url, None, tools)
}

/// Returns the database's name in a URL.
pub fn database_name(url: &str) -> Result<String> {
    refuse_unknown_engines(url)?;
    if is_mysql(url) {
        return Ok(backup_mysql::ConnectOptions::parse(url)?.database().to_owned());
    }
    if ProviderKind::from_host(url) == Some(ProviderKind::Supabase) {
        return Ok(Address::parse(url)?.connect.database().to_owned());
    }
    Ok(ConnectOptions::parse(url)?.database().to_owned())
}

/// Returns where a database URL leads to, for people, without secrets; `unknown` for what is none.
#[must_use]
pub fn location(url: &str) -> String {
    let found = match is_mysql(url) {
        true => backup_mysql::ConnectOptions::parse(url).map(|options| options.location()),
        false => ConnectOptions::parse(url).map(|options| options.location()),
    };
    found.unwrap_or_else(|_| "unknown".to_owned())
}

/// Returns whether a URL holds a password; `false` for what is no database URL.
#[must_use]
pub fn has_password(url: &str) -> bool {
    if is_mysql(url) {
        return backup_mysql::ConnectOptions::parse(url)
            .is_ok_and(|options| options.has_password());
    }
    ConnectOptions::parse(url).is_ok_and(|options| options.has_password())
}

/// Returns the provider for whoever the URL's host belongs to; `password` is used when the URL has
/// none.
pub(crate) fn at(
    url: &str,
    password: Option<Secret>,
    tools: &ToolPaths,
) -> Result<Arc<dyn Provider>> {
    let provider = ProviderKind::from_host(url).unwrap_or(ProviderKind::Postgres);
    hosted(provider, url, password, tools)
}

/// Returns the provider for a database that somebody hosts, by the rules that hold for its data.
pub(crate) fn hosted(
    provider: ProviderKind,
    url: &str,
    password: Option<Secret>,
    tools: &ToolPaths,
) -> Result<Arc<dyn Provider>> {
    refuse_unknown_engines(url)?;
    if is_mysql(url) {
        return mysql(url, password);
    }
    let named = |connect: ConnectOptions| connect.with_application_name("backupctl");
    match provider {
        ProviderKind::Supabase => {
            let mut config = SupabaseConfig::parse(url, tools.clone())?.or_password(password);
            config.address.connect = named(config.address.connect);
            Ok(Arc::new(SupabaseProvider::new(config)))
        }
        ProviderKind::Railway => {
            let mut config = RailwayConfig::parse(url, tools.clone())?.or_password(password);
            config.address.connect = named(config.address.connect);
            Ok(Arc::new(RailwayProvider::new(config)))
        }
        _ => postgres(url, password, tools),
    }
}

/// Returns PostgreSQL's provider; `password` is used when the URL has none.
pub(crate) fn postgres(
    url: &str,
    password: Option<Secret>,
    tools: &ToolPaths,
) -> Result<Arc<dyn Provider>> {
    let mut config = PostgresConfig::parse(url, tools.clone())?;
    config.connect = connect_options(url, password)?;
    Ok(Arc::new(PostgresProvider::from_config(config)))
}

/// Returns MySQL's and MariaDB's provider; `password` is used when the URL has none.
fn mysql(url: &str, password: Option<Secret>) -> Result<Arc<dyn Provider>> {
    Ok(Arc::new(MysqlProvider::from_options(mysql_options(url, password)?)))
}

/// Returns how to connect to MySQL; `password` is used when the URL has none.
pub(crate) fn mysql_options(
    url: &str,
    password: Option<Secret>,
) -> Result<backup_mysql::ConnectOptions> {
    let mut connect = backup_mysql::ConnectOptions::parse(url)?;
    if let Some(password) = password.filter(|_| !connect.has_password()) {
        connect = connect.with_password(password);
    }
    Ok(connect)
}

/// Returns whether a URL is one of MySQL's.
pub(crate) fn is_mysql(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    ProviderKind::from_scheme(scheme.trim()) == Some(ProviderKind::Mysql)
}

/// Returns the directory that a target names: a path (absolute, or beginning with a dot), or
/// a `file://` URL.
pub(crate) fn directory(target: &str) -> Option<&Path> {
    let path = target.strip_prefix("file://").unwrap_or(target);
    let is_path = path.len() < target.len() || path.starts_with('/') || path.starts_with('.');
    (is_path && !path.is_empty()).then(|| Path::new(path))
}

/// Returns how to connect to PostgreSQL; `password` is used when the URL has none.
pub(crate) fn connect_options(url: &str, password: Option<Secret>) -> Result<ConnectOptions> {
    refuse_other_engines(url)?;
    let mut connect = ConnectOptions::parse(url)?;
    if let Some(password) = password.filter(|_| !connect.has_password()) {
        connect = connect.with_password(password);
    }
    Ok(connect.with_application_name("backupctl"))
}

/// Fails with `Unsupported` for URLs of engines that this version does not speak.
pub(crate) fn refuse_unknown_engines(url: &str) -> Result<()> {
    if is_mysql(url) { Ok(()) } else { refuse_other_engines(url) }
}

/// Fails with `Unsupported` for URLs of engines other than PostgreSQL.
pub(crate) fn refuse_other_engines(url: &str) -> Result<()> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    if matches!(scheme.as_str(), "postgres" | "postgresql") {
        return Ok(());
    }
    let (what, hint) = match scheme.as_str() {
        "mysql" | "mariadb" => ("MySQL", "This needs a PostgreSQL database."),
        "file" => ("files", "This version backs up and restores PostgreSQL, MySQL and MariaDB."),
        _ => {
            // Not even the scheme is shown: what was given may be a password.
            return Err(Error::new(ErrorKind::Usage, "parse database URL").hint(
                "Write postgres://user@host/database or mysql://user@host/database; PGPASSWORD or \
                 MYSQL_PWD may hold the password.",
            ));
        }
    };
    Err(Error::new(ErrorKind::Unsupported, "choose engine").with("engine", what).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_directories_and_urls_are_not() {
        for (target, path) in [
            ("/srv/pg", Some("/srv/pg")),
            ("./pg", Some("./pg")),
            ("../pg", Some("../pg")),
            ("file:///srv/pg", Some("/srv/pg")),
            ("postgres://h/d", None),
            ("shop", None),
            ("file://", None),
            ("", None),
        ] {
            assert_eq!(directory(target), path.map(Path::new), "{target}");
        }
    }

    #[test]
    fn knows_what_it_can_speak_to() {
        let provider = |url| provider(url, &ToolPaths::system());
        assert_eq!(provider("postgres://u@h/d").unwrap().name(), "postgres");
        assert_eq!(database_name("postgresql://u@h/shop").unwrap(), "shop");
        assert_eq!(provider("mysql://u@h/d").unwrap().name(), "mysql");
        assert_eq!(provider("MariaDB://u@h/d").unwrap_err().kind(), ErrorKind::ConfigInvalid);
        assert_eq!(database_name("mariadb://u@h/crm").unwrap(), "crm");
        assert_eq!(provider("file:///srv").unwrap_err().kind(), ErrorKind::Unsupported);
        let error = provider("hunter2").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(!format!("{error:?}").contains("hunter2"));
        assert!(has_password("postgres://u:p@h/d"));
        assert!(!has_password("postgres://u@h/d"));
        assert!(has_password("mysql://u:p@h/d") && !has_password("mysql://u@h/d"));
        assert!(!has_password("/srv/backups"));
        assert_eq!(location("mysql://u:p@h/d"), "u@h:3306/d");
        assert_eq!(location("postgres://u:p@h/d"), "u@h:5432/d");
        assert_eq!(location("nowhere"), "unknown");
    }
}
