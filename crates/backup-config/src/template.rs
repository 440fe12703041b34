//! The file that `init` writes for a database.

use backup_core::SourceName;
use backup_retention::Policy;

use crate::ProviderKind;

/// What a template is made from.
#[derive(Clone, Debug)]
pub struct TemplateFacts {
    /// The repository's URL; holds no keys.
    pub repository: Option<String>,
    /// The source's name.
    pub source: SourceName,
    /// Who hosts it.
    pub provider: ProviderKind,
    /// Where it is, for people, without secrets.
    pub location: String,
    /// The variable that holds its URL.
    pub url_variable: String,
}

/// Returns a commented `backup.toml` for one source. It holds no secret, only references, and
/// is valid as it stands once the variables it names are set.
#[must_use]
pub fn template(facts: &TemplateFacts) -> String {
    let repository = match &facts.repository {
        Some(url) => format!("url = {}", quote(url)),
        None => {
            "# url = \"s3://bucket/prefix?endpoint=https://…\"   # or set BACKUP_REPOSITORY".into()
        }
    };
    format!(
        r##"# Backup of {location}.
#
# Every key: docs/configuration.md; for editors: `backupctl schema`.
# Flags beat the environment, the environment beats this file.
# Secrets are references: env:NAME, file:PATH or command:LINE.

[repository]
# Where snapshots are kept: file:///path or s3://bucket/prefix?endpoint=…
{repository}
# What opens it. Without it nobody can read the backups, you included.
passphrase = "env:BACKUP_PASSPHRASE"
# key = "file:/etc/backup/key"          # a key file instead
# upload_rate = "50MiB"                 # bytes per second; unlimited without

[retention]
# What `backupctl forget` keeps: "{standard}", "{extended}",
# "last 3, within 14d" … or "everything".
policy = "{standard}"

[protection]
# A source counts as protected while its newest snapshot is no older than this …
rpo = "26h"
# … and proved this far: none, exists, read or drilled.
level = "read"
# drill_interval = "30d"                # how often it must be restored on trial

[schedule]
# For backupd: minute, hour, day of month, month, day of week.
backup = "0 2 * * *"
verify = "0 5 * * 0"

[[source]]
name = {name}
provider = {provider}
url = {url}

# [source.backup]
# jobs = 4                              # parallel readers
# max_rate = "20MiB"                    # bytes per second

# [[notify]]
# kind = "slack"                        # webhook, email, pagerduty …: docs/alerts.md
# url = "env:SLACK_WEBHOOK_URL"
"##,
        location = one_line(&facts.location),
        standard = Policy::STANDARD,
        extended = Policy::EXTENDED,
        name = quote(facts.source.as_str()),
        provider = quote(facts.provider.as_str()),
        url = quote(&format!("env:{}", facts.url_variable)),
    )
}

/// Writes a TOML basic string.
fn quote(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A comment ends at the first newline.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
