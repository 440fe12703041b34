//! Who is told.

use backup_core::{Error, ErrorKind, Result};

use super::Resolver;
use crate::NotifyKind;
use crate::file::raw::RawNotify;
use crate::settings::NotifySettings;

impl Resolver<'_> {
    /// The destinations of the file and those of the environment.
    pub(super) fn notify(&mut self, raw: &[RawNotify]) -> Result<Vec<NotifySettings>> {
        let on_success = self.inputs.environment.parse("BACKUP_NOTIFY_SUCCESS", truth)?;
        let on_failure = self.inputs.environment.parse("BACKUP_NOTIFY_FAILURE", truth)?;
        let mut all = Vec::new();
        for one in raw {
            if one.kind.0 == NotifyKind::Slack && one.secret.is_some() {
                self.notes
                    .push("notify.secret means nothing to Slack, which checks no signature".into());
            }
            let secret = one.secret.as_ref();
            all.push(NotifySettings {
                kind: one.kind.0,
                url: self.written("notify.url", &one.url),
                secret: secret.map(|secret| self.written("notify.secret", secret)),
                on_success: on_success.or(one.on_success).unwrap_or(hears_success(one.kind.0)),
                on_failure: on_failure.or(one.on_failure).unwrap_or(true),
            });
        }
        let signing = self.variable("BACKUP_WEBHOOK_SECRET")?;
        for (name, kind, secret) in [
            ("SLACK_WEBHOOK_URL", NotifyKind::Slack, None),
            ("BACKUP_WEBHOOK_URL", NotifyKind::Webhook, signing),
        ] {
            let Some(url) = self.variable(name)? else { continue };
            // The file may name the same variable; nobody wants to be told twice.
            let variable = format!("environment variable {name}");
            let known = all.iter().any(|known: &NotifySettings| {
                let place = known.url.place();
                place == url.place() || place == variable
            });
            if known {
                continue;
            }
            all.push(NotifySettings {
                kind,
                url,
                secret,
                on_success: on_success.unwrap_or(hears_success(kind)),
                on_failure: on_failure.unwrap_or(true),
            });
        }
        Ok(all)
    }
}

/// Machines count successes; in a chat no news is good news.
fn hears_success(kind: NotifyKind) -> bool {
    kind != NotifyKind::Slack
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
