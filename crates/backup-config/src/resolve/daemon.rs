//! How the daemon runs, and what it calls.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use backup_core::{Error, ErrorKind, Result};
use backup_schedule::Retry;

use super::Resolver;
use crate::file::raw::{RawDaemon, RawHook};
use crate::settings::{
    DaemonSettings, HookAction, HookSettings, SourceSettings, TlsPaths, unknown_source,
};

impl Resolver<'_> {
    pub(super) fn daemon(&self, raw: &RawDaemon) -> Result<DaemonSettings> {
        let default = DaemonSettings::default();
        let environment = self.inputs.environment;
        let listen = match environment.parse("BACKUPD_LISTEN", address)? {
            Some(listen) => Some(listen),
            None => raw
                .listen
                .as_deref()
                .map(address)
                .transpose()
                .map_err(|error| self.locate("daemon.listen", error))?,
        };
        let state = match environment.get("BACKUPD_STATE")? {
            Some(state) => Some(self.inputs.directory.join(state)),
            None => raw.state.as_ref().map(|state| self.base.join(state)),
        };
        let attempts = raw.attempts.unwrap_or(default.retry.attempts);
        if attempts == 0 {
            let error = Error::new(ErrorKind::ConfigInvalid, "read configuration")
                .because("with no attempt nothing ever runs")
                .hint("Write 1 to try once.");
            return Err(self.locate("daemon.attempts", error));
        }
        let first = raw.retry_first.as_ref().map(|period| period.0.as_duration());
        let most = raw.retry_most.as_ref().map(|period| period.0.as_duration());
        Ok(DaemonSettings {
            listen: listen.unwrap_or(default.listen),
            state,
            concurrency: raw.concurrency.unwrap_or(default.concurrency),
            stall_timeout: raw.stall_timeout.as_ref().map_or(default.stall_timeout, |p| p.0),
            stop_timeout: raw.stop_timeout.as_ref().map_or(default.stop_timeout, |p| p.0),
            retry: Retry {
                attempts,
                first: first.unwrap_or(default.retry.first),
                most: most.unwrap_or(default.retry.most),
            },
            keep_runs: raw.keep_runs.as_ref().map_or(default.keep_runs, |p| p.0),
            tls: self.tls(raw)?,
            hosts: match environment.get("BACKUPD_HOSTS")? {
                Some(hosts) => names(hosts.split(',')),
                None => names(raw.hosts.iter().map(String::as_str)),
            },
            open_writes: match environment.parse("BACKUPD_OPEN_WRITES", truth)? {
                Some(open) => open,
                None => raw.open_writes.unwrap_or(default.open_writes),
            },
        })
    }

    fn tls(&self, raw: &RawDaemon) -> Result<Option<TlsPaths>> {
        let path = |variable: &str, written: &Option<PathBuf>| {
            Ok::<_, Error>(match self.inputs.environment.get(variable)? {
                Some(path) => Some(self.inputs.directory.join(path)),
                None => written.as_ref().map(|path| self.base.join(path)),
            })
        };
        let certificate = path("BACKUPD_TLS_CERTIFICATE", &raw.tls_certificate)?;
        let key = path("BACKUPD_TLS_KEY", &raw.tls_key)?;
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(TlsPaths { certificate, key })),
            (None, None) => Ok(None),
            (certificate, _) => {
                let error = Error::new(ErrorKind::ConfigInvalid, "read TLS settings")
                    .because("a certificate and its key belong together")
                    .hint(
                        "Set both daemon.tls_certificate and daemon.tls_key (or \
                         BACKUPD_TLS_CERTIFICATE and BACKUPD_TLS_KEY), or neither.",
                    );
                let there = if certificate.is_some() { "tls_certificate" } else { "tls_key" };
                Err(self.locate(&format!("daemon.{there}"), error))
            }
        }
    }

    pub(super) fn hooks(
        &mut self,
        raw: &[RawHook],
        sources: &[SourceSettings],
    ) -> Result<Vec<HookSettings>> {
        let mut hooks = Vec::new();
        for (position, hook) in raw.iter().enumerate() {
            let path = format!("hook.{position}");
            let known: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            let names: Vec<_> = hook.sources.iter().map(|name| name.0.clone()).collect();
            if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
                let error = unknown_source(ErrorKind::ConfigInvalid, name.as_str(), &known);
                return Err(self.locate(&format!("{path}.sources"), error));
            }
            let action = match (&hook.url, hook.command.is_empty()) {
                (None, false) => HookAction::Command(hook.command.clone()),
                (Some(url), true) => HookAction::Post {
                    url: self.written("hook.url", url),
                    secret: hook.secret.as_ref().map(|key| self.written("hook.secret", key)),
                },
                _ => {
                    let error = Error::new(ErrorKind::ConfigInvalid, "read configuration")
                        .because("a hook calls either a command or a url")
                        .hint("Write command = [\"/usr/local/bin/program\", \"argument\"].");
                    return Err(self.locate(&path, error));
                }
            };
            hooks.push(HookSettings {
                moment: hook.on.0,
                sources: names,
                action,
                timeout: hook
                    .timeout
                    .as_ref()
                    .map_or(backup_retention::Period::from_secs(60), |timeout| timeout.0),
                required: hook.required.unwrap_or(true),
            });
        }
        Ok(hooks)
    }
}

fn names<'a>(given: impl Iterator<Item = &'a str>) -> Vec<String> {
    given.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn truth(text: &str) -> Result<bool> {
    match text {
        "true" | "1" => Ok(true),
        "" | "false" | "0" => Ok(false),
        other => Err(Error::new(ErrorKind::ConfigInvalid, "read yes or no")
            .with("value", other.escape_debug())
            .hint("Write true or false.")),
    }
}

/// Checks `host:port` without asking anybody about names.
fn address(text: &str) -> Result<String> {
    let numeric = text.parse::<SocketAddr>().is_ok();
    let local = text.starts_with("localhost:") && text.to_socket_addrs().is_ok();
    if numeric || local {
        return Ok(text.to_owned());
    }
    Err(Error::new(ErrorKind::ConfigInvalid, "parse address")
        .with("text", text.escape_debug())
        .hint("Write an address and a port, such as 127.0.0.1:8420 or [::1]:8420."))
}
