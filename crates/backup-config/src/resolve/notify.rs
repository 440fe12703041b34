//! Who is told.

use backup_core::{Error, ErrorKind, Result, Severity};
use backup_retention::Period;

use super::Resolver;
use crate::file::raw::RawNotify;
use crate::file::text::Patience;
use crate::{ChannelSettings, NotifyKind, NotifySettings, SecretRef};

/// What the environment says about all channels.
#[derive(Clone, Copy)]
struct Wishes {
    on_success: Option<bool>,
    on_failure: Option<bool>,
}

impl Resolver<'_> {
    /// The destinations of the file and those of the environment.
    pub(super) fn notify(&mut self, raw: &[RawNotify]) -> Result<Vec<NotifySettings>> {
        let wishes = Wishes {
            on_success: self.inputs.environment.parse("BACKUP_NOTIFY_SUCCESS", truth)?,
            on_failure: self.inputs.environment.parse("BACKUP_NOTIFY_FAILURE", truth)?,
        };
        let mut all = Vec::new();
        for (position, one) in raw.iter().enumerate() {
            let channel = self.channel(position, one)?;
            let name = match &one.name {
                Some(name) => self.own_name(position, name, &all)?,
                None => free_name(channel.kind(), raw, &all),
            };
            let mut settings = settings(name, channel, wishes);
            settings.sources.clone_from(&one.sources);
            if !one.events.is_empty() {
                settings.events.clone_from(&one.events);
            }
            settings.severity = one.severity.as_ref().map_or(Severity::Warning, |text| text.0);
            settings.on_recovery = one.on_recovery.unwrap_or(true);
            if let Some(wish) = one.on_success.filter(|_| wishes.on_success.is_none()) {
                settings.on_success = wish;
            }
            if let Some(wish) = one.on_failure.filter(|_| wishes.on_failure.is_none()) {
                settings.on_failure = wish;
            }
            if let Some(patience) = &one.remind_after {
                let Patience(after) = patience.0;
                settings.remind_after = after;
            }
            all.push(settings);
        }
        for channel in self.channels_of_environment()? {
            if !all.iter().any(|known: &NotifySettings| same(&known.channel, &channel)) {
                all.push(settings(free_name(channel.kind(), raw, &all), channel, wishes));
            }
        }
        Ok(all)
    }

    fn own_name(&self, position: usize, name: &str, all: &[NotifySettings]) -> Result<String> {
        let path = format!("notify.{position}.name");
        let unusable = |reason: &str| {
            Error::new(ErrorKind::ConfigInvalid, "use name of notification")
                .with("name", name.escape_debug())
                .because(reason.to_owned())
                .hint("Letters, digits, -, _ and . make a name; each only once.")
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
            return Err(self.locate(&path, unusable("it is not a name")));
        }
        if all.iter().any(|known| known.name == name) {
            return Err(self.locate(&path, unusable("another has it")));
        }
        Ok(name.to_owned())
    }

    /// What a table of the file describes; keys that its kind does not have are errors.
    fn channel(&mut self, position: usize, one: &RawNotify) -> Result<ChannelSettings> {
        use NotifyKind as Kind;
        let kind = one.kind.0;
        let usable = |key: &str, given: bool, kinds: &[Kind]| {
            if !given || kinds.contains(&kind) {
                return Ok(());
            }
            let error = Error::new(ErrorKind::ConfigInvalid, "use notification")
                .because(format!("'{key}' means nothing to {}", kind.as_str()))
                .hint("Remove it.");
            Err(self.locate(&format!("notify.{position}.{key}"), error))
        };
        usable("template", one.template.is_some(), &[Kind::Webhook])?;
        usable("repository", one.repository.is_some(), &[Kind::Github])?;
        usable("from", one.from.is_some(), &[Kind::Email])?;
        usable("to", !one.to.is_empty(), &[Kind::Email])?;
        usable("ca_file", one.ca_file.is_some(), &[Kind::Email])?;
        let url = one.url.as_ref().map(|url| self.written("notify.url", url));
        let secret = one.secret.as_ref().map(|secret| self.written("notify.secret", secret));
        if secret.is_some()
            && matches!(kind, Kind::Slack | Kind::Discord | Kind::Teams | Kind::Healthchecks)
        {
            let who = if kind == Kind::Slack { "Slack" } else { kind.as_str() };
            self.notes
                .push(format!("notify.secret means nothing to {who}, which checks no signature"));
        }
        let missing = |key: &str, hint: &str| {
            let error = Error::new(ErrorKind::ConfigInvalid, "use notification")
                .because(format!("{} needs '{key}'", kind.as_str()))
                .hint(hint.to_owned());
            self.locate(&format!("notify.{position}.kind"), error)
        };
        let url_hint = "Write url = \"env:NAME\", and set that variable to the URL.";
        let needed = |url: Option<SecretRef>| url.ok_or_else(|| missing("url", url_hint));
        Ok(match kind {
            Kind::Slack | Kind::Discord | Kind::Teams => {
                ChannelSettings::Chat { kind, url: needed(url)? }
            }
            Kind::Webhook => ChannelSettings::Webhook {
                url: needed(url)?,
                secret,
                template: one.template.clone(),
            },
            Kind::Healthchecks => ChannelSettings::Healthchecks { url: needed(url)? },
            Kind::PagerDuty => ChannelSettings::PagerDuty {
                url,
                routing_key: secret.ok_or_else(|| {
                    missing("secret", "It is the integration key of an Events API v2 integration.")
                })?,
            },
            Kind::Github => ChannelSettings::Github {
                url,
                repository: one
                    .repository
                    .clone()
                    .ok_or_else(|| missing("repository", "Write owner/name."))?,
                token: secret.ok_or_else(|| {
                    missing("secret", "It is a token that may read and write issues.")
                })?,
            },
            Kind::Email => ChannelSettings::Email {
                url: needed(url)?,
                password: secret,
                from: one.from.clone().ok_or_else(|| missing("from", "It is the sender."))?,
                to: match one.to.is_empty() {
                    false => one.to.clone(),
                    true => return Err(missing("to", "It is a list of receivers.")),
                },
                ca_file: one.ca_file.as_ref().map(|file| self.base.join(file)),
            },
        })
    }

    fn channels_of_environment(&self) -> Result<Vec<ChannelSettings>> {
        let mut all = Vec::new();
        for (name, kind) in [
            ("SLACK_WEBHOOK_URL", NotifyKind::Slack),
            ("DISCORD_WEBHOOK_URL", NotifyKind::Discord),
            ("TEAMS_WEBHOOK_URL", NotifyKind::Teams),
        ] {
            let url = self.variable(name)?;
            all.extend(url.map(|url| ChannelSettings::Chat { kind, url }));
        }
        if let Some(url) = self.variable("BACKUP_WEBHOOK_URL")? {
            let secret = self.variable("BACKUP_WEBHOOK_SECRET")?;
            all.push(ChannelSettings::Webhook { url, secret, template: None });
        }
        let ping = self.variable("HEALTHCHECKS_PING_URL")?;
        all.extend(ping.map(|url| ChannelSettings::Healthchecks { url }));
        let routing_key = self.variable("PAGERDUTY_ROUTING_KEY")?;
        all.extend(routing_key.map(|routing_key| {
            let url = None;
            ChannelSettings::PagerDuty { url, routing_key }
        }));
        all.extend(self.email_of_environment()?);
        all.extend(self.github_of_environment()?);
        Ok(all)
    }

    fn email_of_environment(&self) -> Result<Option<ChannelSettings>> {
        let Some(url) = self.variable("BACKUP_SMTP_URL")? else { return Ok(None) };
        let text = |name: &'static str| {
            self.inputs.environment.get(name)?.map(str::to_owned).ok_or_else(|| {
                Error::new(ErrorKind::ConfigInvalid, "use BACKUP_SMTP_URL")
                    .because(format!("{name} is not set"))
                    .hint("Mail needs BACKUP_EMAIL_FROM and BACKUP_EMAIL_TO.")
            })
        };
        let to = text("BACKUP_EMAIL_TO")?;
        Ok(Some(ChannelSettings::Email {
            url,
            password: self.variable("BACKUP_SMTP_PASSWORD")?,
            from: text("BACKUP_EMAIL_FROM")?,
            to: to
                .split(',')
                .map(|one| one.trim().to_owned())
                .filter(|one| !one.is_empty())
                .collect(),
            ca_file: None,
        }))
    }

    fn github_of_environment(&self) -> Result<Option<ChannelSettings>> {
        let name = self.inputs.environment.get("BACKUP_GITHUB_REPOSITORY")?;
        let Some(repository) = name else { return Ok(None) };
        let token = self.variable("BACKUP_GITHUB_TOKEN")?.ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "use BACKUP_GITHUB_REPOSITORY")
                .because("BACKUP_GITHUB_TOKEN is not set")
                .hint("Set it to a token that may read and write issues.")
        })?;
        Ok(Some(ChannelSettings::Github { url: None, repository: repository.to_owned(), token }))
    }
}

fn settings(name: String, channel: ChannelSettings, wishes: Wishes) -> NotifySettings {
    let kind = channel.kind();
    let meter = kind == NotifyKind::Healthchecks;
    NotifySettings {
        name,
        channel,
        severity: Severity::Warning,
        sources: Vec::new(),
        events: if meter { vec!["backup.*".into()] } else { Vec::new() },
        // Machines count successes; in a chat no news is good news.
        on_success: wishes.on_success.unwrap_or(kind == NotifyKind::Webhook),
        on_failure: wishes.on_failure.unwrap_or(true),
        on_recovery: true,
        remind_after: Some(Period::from_hours(24)),
    }
}

/// The kind's word, with a number where that is taken.
fn free_name(kind: NotifyKind, raw: &[RawNotify], all: &[NotifySettings]) -> String {
    let word = kind.as_str();
    let taken = |name: &str| {
        all.iter().any(|known| known.name == name)
            || raw.iter().any(|one| one.name.as_deref() == Some(name))
    };
    let numbered = (2..).map(|number| format!("{word}-{number}"));
    let mut names = std::iter::once(word.to_owned()).chain(numbered);
    names.find(|name| !taken(name)).unwrap_or_else(|| word.to_owned())
}

/// The file may name the same variable as the environment; nobody wants to be told twice.
fn same(known: &ChannelSettings, other: &ChannelSettings) -> bool {
    known.kind() == other.kind()
        && known.secrets().iter().zip(other.secrets()).all(|(known, other)| {
            // `env:NAME` stands for NAME_FILE and NAME_COMMAND too.
            let variable = other.setting();
            let variable = ["_FILE", "_COMMAND"]
                .iter()
                .find_map(|suffix| variable.strip_suffix(suffix))
                .unwrap_or(variable);
            known.place() == other.place()
                || known.place() == format!("environment variable {variable}")
        })
}

fn truth(text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Error::new(ErrorKind::ConfigInvalid, "parse truth value")
            .with("text", text.escape_debug())
            .hint("Write true or false.")),
    }
}
