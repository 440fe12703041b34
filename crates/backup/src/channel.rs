//! From settings to those who are told.

use std::sync::Arc;

use async_trait::async_trait;
use backup_config::{ChannelSettings, NotifyKind, NotifySettings, SecretRef, Secrets};
use backup_core::port::{Alert, Clock, Notifier};
use backup_core::{Error, ErrorKind, Result, Secret};
use backup_notify::{
    Client, Delivery, Discord, Email, EmailSettings, Github, Healthchecks, PagerDuty, Slack, Teams,
    Template, Webhook,
};
use backup_ops::alert::{Destination, Route};
use backup_retention::Period;

/// Prepares every channel; connects to nothing.
pub(crate) fn destinations(
    settings: &[NotifySettings],
    secrets: &Secrets,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Destination>> {
    if settings.is_empty() {
        return Ok(Vec::new());
    }
    let maker = Maker { client: backup_notify::client()?, secrets, clock };
    settings
        .iter()
        .map(|one| {
            let notifier = maker.notifier(&one.channel);
            Ok(destination(one, notifier.map_err(|error| error.with("channel", &one.name))?))
        })
        .collect()
}

/// As [`destinations`]; what cannot be prepared fails when it is to deliver.
pub(crate) fn announcers(
    settings: &[NotifySettings],
    secrets: &Secrets,
    clock: &Arc<dyn Clock>,
) -> Vec<Destination> {
    settings
        .iter()
        .map(|one| {
            let made = destinations(std::slice::from_ref(one), secrets, clock);
            match made.map(|mut made| made.pop()) {
                Ok(Some(made)) => made,
                Ok(None) => destination(one, Arc::new(Unusable::new(one, None))),
                Err(error) => destination(one, Arc::new(Unusable::new(one, Some(&error)))),
            }
        })
        .collect()
}

fn destination(one: &NotifySettings, notifier: Arc<dyn Notifier>) -> Destination {
    Destination {
        channel: one.name.clone(),
        notifier,
        route: route(one),
        remind_after: one.remind_after.map(Period::as_duration),
    }
}

/// A channel that could not be prepared.
#[derive(Debug)]
struct Unusable {
    name: String,
    reason: String,
    hint: String,
}

impl Unusable {
    fn new(one: &NotifySettings, error: Option<&Error>) -> Self {
        Self {
            name: one.channel.kind().as_str().to_owned(),
            reason: error.map_or_else(|| "it was not prepared".to_owned(), ToString::to_string),
            hint: error.and_then(Error::remedy).unwrap_or("Run `backupctl validate`.").to_owned(),
        }
    }
}

#[async_trait]
impl Notifier for Unusable {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn deliver(&self, _: &Alert) -> Result<()> {
        Err(Error::new(ErrorKind::ConfigInvalid, "deliver alert")
            .because(self.reason.clone())
            .hint(self.hint.clone()))
    }
}

fn route(one: &NotifySettings) -> Route {
    let kind = one.channel.kind();
    Route {
        severity: one.severity,
        sources: one.sources.clone(),
        events: one.events.clone(),
        on_success: one.on_success,
        on_failure: one.on_failure,
        on_recovery: one.on_recovery,
        tracks: matches!(kind, NotifyKind::PagerDuty | NotifyKind::Github),
        runs: kind == NotifyKind::Healthchecks,
    }
}

struct Maker<'a> {
    client: Client,
    secrets: &'a Secrets,
    clock: &'a Arc<dyn Clock>,
}

impl Maker<'_> {
    fn notifier(&self, channel: &ChannelSettings) -> Result<Arc<dyn Notifier>> {
        let delivery = Delivery::default();
        let (client, clock) = (self.client.clone(), Arc::clone(self.clock));
        Ok(match channel {
            ChannelSettings::Chat { kind, url } => {
                let url = self.secrets.resolve(url)?;
                match kind {
                    NotifyKind::Discord => Arc::new(Discord::new(client, clock, &url, delivery)?),
                    NotifyKind::Teams => Arc::new(Teams::new(client, clock, &url, delivery)?),
                    _ => Arc::new(Slack::new(client, clock, &url, delivery)?),
                }
            }
            ChannelSettings::Webhook { url, secret, template } => {
                let url = self.secrets.resolve(url)?;
                let secret = secret.as_ref().map(|key| self.secrets.resolve(key)).transpose()?;
                let webhook = Webhook::new(client, clock, &url, secret, delivery)?;
                match template {
                    Some(template) => Arc::new(webhook.templated(Template::parse(template)?)),
                    None => Arc::new(webhook),
                }
            }
            ChannelSettings::PagerDuty { url, routing_key } => {
                let url = self.url(url.as_ref(), PagerDuty::URL)?;
                let key = self.secrets.resolve(routing_key)?;
                Arc::new(PagerDuty::new(client, clock, &url, key, delivery)?)
            }
            ChannelSettings::Github { url, repository, token } => {
                let url = self.url(url.as_ref(), Github::URL)?;
                let token = self.secrets.resolve(token)?;
                Arc::new(Github::new(client, clock, &url, repository, token, delivery)?)
            }
            ChannelSettings::Healthchecks { url } => {
                let url = self.secrets.resolve(url)?;
                Arc::new(Healthchecks::new(client, clock, &url, delivery)?)
            }
            ChannelSettings::Email { url, password, from, to, ca_file } => {
                let password = password.as_ref().map(|secret| self.secrets.resolve(secret));
                let ca = ca_file.as_ref().map(|path| {
                    std::fs::read(path).map_err(|error| {
                        Error::new(ErrorKind::ConfigInvalid, "read certificate authority")
                            .with("file", path.display())
                            .because(error)
                            .hint("Check notify.ca_file.")
                    })
                });
                let settings = EmailSettings {
                    url: self.secrets.resolve(url)?,
                    password: password.transpose()?,
                    from: from.clone(),
                    to: to.clone(),
                    ca: ca.transpose()?,
                };
                Arc::new(Email::new(clock, &settings, delivery)?)
            }
        })
    }

    fn url(&self, configured: Option<&SecretRef>, usual: &str) -> Result<Secret> {
        configured.map_or_else(|| Ok(Secret::new(usual)), |url| self.secrets.resolve(url))
    }
}
