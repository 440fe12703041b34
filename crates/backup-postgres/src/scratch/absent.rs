//! What the source's configuration names that this machine does not have. Reads files, asks
//! nobody.

use std::path::Path;

/// Settings whose value is a file or a folder that a server does not start without.
const PATHS: [&str; 10] = [
    "ssl_cert_file",
    "ssl_key_file",
    "ssl_ca_file",
    "ssl_crl_file",
    "ssl_dh_params_file",
    "hba_file",
    "ident_file",
    "krb_server_keyfile",
    "data_directory",
    "unix_socket_directories",
];

/// Returns a sentence for every path in the configuration files of a restored cluster that is not
/// here. Relative paths and what starts without them (logs) do not count.
pub(super) fn absent_paths(data: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for name in ["postgresql.conf", "postgresql.auto.conf"] {
        let text = std::fs::read(data.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        for (setting, path) in named(&text) {
            // What a path leads to through another user's folder cannot be told.
            let is_gone = matches!(Path::new(&path).try_exists(), Ok(false));
            if is_gone {
                found.push(format!("{name} has {setting} = {path}, which is not on this machine"));
            }
        }
    }
    found
}

/// The settings in force that name absolute paths, with each path.
fn named(text: &str) -> Vec<(String, String)> {
    let mut last: Vec<(String, String)> = Vec::new();
    let mut includes = Vec::new();
    for (name, value) in text.lines().filter_map(setting) {
        match name.as_str() {
            "include" | "include_dir" => includes.push((name, value)),
            _ if PATHS.contains(&name.as_str()) => {
                last.retain(|(known, _)| *known != name);
                last.push((name, value));
            }
            _ => {}
        }
    }
    let all = includes.into_iter().chain(last);
    all.flat_map(|(name, value)| {
        let each: Vec<_> = value.split(',').map(|path| path.trim().to_owned()).collect();
        each.into_iter().filter(|path| path.starts_with('/')).map(move |path| (name.clone(), path))
    })
    .collect()
}

/// One line of a configuration file, as PostgreSQL reads it.
fn setting(line: &str) -> Option<(String, String)> {
    let line = line.trim_start();
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.')?;
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let value = match rest.strip_prefix('\'') {
        Some(quoted) => {
            let mut value = String::new();
            let mut chars = quoted.chars().peekable();
            while let Some(c) = chars.next() {
                match c {
                    '\'' if chars.peek() == Some(&'\'') => value.extend(chars.next()),
                    '\'' => break,
                    '\\' => value.extend(chars.next()),
                    c => value.push(c),
                }
            }
            value
        }
        None => rest.split(['#', ' ', '\t']).next().unwrap_or_default().to_owned(),
    };
    (!name.is_empty()).then(|| (name.to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_configuration_names_and_is_not_here_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().display();
        let conf = format!(
            "# ssl_ca_file = '/gone/ca'\nssl = on\nssl_cert_file = '/gone/it''s.pem' # old\n\
             ssl_key_file='{here}'\n  include_dir '/gone/conf.d'\nhba_file = pg_hba.conf\n\
             unix_socket_directories = '/gone/run, {here}'\nlog_directory = '/gone/log'\n\
             ident_file = '/gone/ident'\nident_file = '{here}'\n"
        );
        std::fs::write(folder.path().join("postgresql.conf"), conf).unwrap();
        let found = absent_paths(folder.path());
        let told: Vec<_> = found.iter().map(|one| one.split_once(" has ").unwrap().1).collect();
        let missing = |what: &str| format!("{what}, which is not on this machine");
        assert_eq!(
            told,
            [
                missing("include_dir = /gone/conf.d"),
                missing("ssl_cert_file = /gone/it's.pem"),
                missing("unix_socket_directories = /gone/run"),
            ]
        );
    }
}
