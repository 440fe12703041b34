//! Every environment variable that is understood.

use crate::Environment;
use crate::nearest::nearest;

/// One variable, for the reference and for spotting typing errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    /// Secrets exist also as `NAME_FILE` and `NAME_COMMAND`.
    pub(crate) secret: bool,
    pub(crate) text: &'static str,
}

const fn plain(name: &'static str, text: &'static str) -> Variable {
    Variable { name, secret: false, text }
}

const fn secret(name: &'static str, text: &'static str) -> Variable {
    Variable { name, secret: true, text }
}

pub(crate) const VARIABLES: &[Variable] = &[
    plain(
        "BACKUP_CONFIG",
        "path of the configuration file, instead of `backup.toml` in the working directory",
    ),
    plain("BACKUP_REPOSITORY", "`repository.url`"),
    secret("BACKUP_PASSPHRASE", "`repository.passphrase`"),
    secret(
        "BACKUP_NEW_PASSPHRASE",
        "the passphrase that `key add` and `key rotate` give to the repository",
    ),
    secret("BACKUP_KEY", "`repository.key`: the text of a key file; as a rule `BACKUP_KEY_FILE`"),
    secret(
        "BACKUP_ENCRYPTION_KEY",
        "the passphrase, when neither `BACKUP_PASSPHRASE` nor `repository.passphrase` is set",
    ),
    plain("BACKUP_DIR", "directory of the repository, when nothing else names one"),
    plain(
        "S3_BACKUP_BUCKET",
        "bucket of the repository, when neither `BACKUP_REPOSITORY` nor `repository.url` is set",
    ),
    secret("DATABASE_URL", "the source's URL"),
    plain("BACKUP_FILES_PATH", "the directory that is backed up, instead of a database"),
    plain("BACKUP_FILES_HOST", "`files.host` of sources"),
    plain("PGPASSWORD", "the password of a PostgreSQL URL that holds none"),
    plain("MYSQL_PWD", "the password of a MySQL URL that holds none"),
    plain("DB_PROVIDER", "the source's provider"),
    plain("BACKUP_SOURCE", "the source's name; default the database's name"),
    secret("POSTGRES_DB_URL", "the source's URL at that provider"),
    secret("POSTGRES_DATABASE_URL", "the same"),
    secret("POSTGRESQL_DB_URL", "the same"),
    secret("POSTGRESQL_DATABASE_URL", "the same"),
    secret("SUPABASE_DB_URL", "the source's URL at that provider"),
    secret("SUPABASE_DATABASE_URL", "the same"),
    secret("PLANETSCALE_DB_URL", "the source's URL at that provider"),
    secret("PLANETSCALE_DATABASE_URL", "the same"),
    secret("NEON_DB_URL", "the source's URL at that provider"),
    secret("NEON_DATABASE_URL", "the same"),
    secret("RAILWAY_DB_URL", "the source's URL at that provider"),
    secret("RAILWAY_DATABASE_URL", "the same"),
    secret("MYSQL_DB_URL", "the source's URL at that provider"),
    secret("MYSQL_DATABASE_URL", "the same"),
    secret("NEON_API_KEY", "`source[].neon.api_key`"),
    plain("NEON_PROJECT_ID", "`source[].neon.project_id`"),
    plain("NEON_API_URL", "`source[].neon.api_url`"),
    plain("PLANETSCALE_SERVICE_TOKEN_ID", "`source[].planetscale.token_id`"),
    secret("PLANETSCALE_SERVICE_TOKEN", "`source[].planetscale.token`"),
    plain("PLANETSCALE_ORGANIZATION", "`source[].planetscale.organization`"),
    plain("PLANETSCALE_DATABASE", "`source[].planetscale.database`"),
    plain("PLANETSCALE_BRANCH", "`source[].planetscale.branch`"),
    plain("PLANETSCALE_API_URL", "`source[].planetscale.api_url`"),
    secret("SUPABASE_ACCESS_TOKEN", "`source[].supabase.access_token`"),
    plain("SUPABASE_PROJECT_REF", "`source[].supabase.project_ref`"),
    plain("SUPABASE_API_URL", "`source[].supabase.api_url`"),
    secret("RAILWAY_API_TOKEN", "`source[].railway.api_token`"),
    secret("RAILWAY_TOKEN", "`source[].railway.project_token`"),
    plain("RAILWAY_PROJECT_ID", "`source[].railway.project_id`"),
    plain("RAILWAY_ENVIRONMENT_ID", "`source[].railway.environment_id`"),
    plain("RAILWAY_BACKUP_SERVICE", "`source[].railway.service`"),
    plain("RAILWAY_WAL_ARCHIVE", "`source[].railway.wal_archive`"),
    plain("RAILWAY_API_URL", "`source[].railway.api_url`"),
    plain(
        "DB_HOST",
        "host of the source's URL, with `DB_PORT`, `DB_NAME`, `DB_USER`, `DB_PASSWORD` and `DB_SSL`, \
         where neither a URL nor a `[[source]]` is; also as `SUPABASE_DB_HOST` and so on",
    ),
    plain("BACKUP_JOBS", "`source[].backup.jobs`"),
    plain("BACKUP_MAX_RATE", "`source[].backup.max_rate`"),
    plain("BACKUP_RPO", "`source[].protection.rpo`"),
    plain("BACKUP_RETENTION", "`source[].retention.policy`"),
    plain("BACKUP_RETENTION_DAYS", "`source[].retention.keep_daily`"),
    plain("BACKUP_RETENTION_WEEKS", "`source[].retention.keep_weekly`"),
    plain("BACKUP_RETENTION_MONTHS", "`source[].retention.keep_monthly`"),
    plain("BACKUP_CRON", "`source[].schedule.backup`"),
    secret("BACKUP_DRILL_URL", "`drill.to`, of every source"),
    plain("BACKUPD_LISTEN", "`daemon.listen`"),
    plain("BACKUPD_TLS_CERTIFICATE", "`daemon.tls_certificate`"),
    plain("BACKUPD_TLS_KEY", "`daemon.tls_key`"),
    plain("BACKUPD_HOSTS", "`daemon.hosts`, separated by commas"),
    plain("BACKUPD_OPEN_WRITES", "`daemon.open_writes`"),
    plain("BACKUPD_STATE", "`daemon.state`"),
    plain("BACKUP_ZONE", "`zone`"),
    secret("SLACK_WEBHOOK_URL", "alerts also go to this Slack webhook"),
    secret("BACKUP_WEBHOOK_URL", "alerts also go to this webhook"),
    secret("BACKUP_WEBHOOK_SECRET", "signs the requests to `BACKUP_WEBHOOK_URL`"),
    secret("DISCORD_WEBHOOK_URL", "alerts also go to this Discord webhook"),
    secret("TEAMS_WEBHOOK_URL", "alerts also go to this workflow of Microsoft Teams"),
    secret("PAGERDUTY_ROUTING_KEY", "alerts also go to PagerDuty, with this integration key"),
    secret("HEALTHCHECKS_PING_URL", "every backup also pings this check"),
    secret("BACKUP_SMTP_URL", "alerts also go by this mail server"),
    secret("BACKUP_SMTP_PASSWORD", "the password of its user"),
    plain("BACKUP_EMAIL_FROM", "the sender of that mail"),
    plain("BACKUP_EMAIL_TO", "its receivers, with commas between them"),
    plain("BACKUP_GITHUB_REPOSITORY", "alerts are also issues of this repository, `owner/name`"),
    secret("BACKUP_GITHUB_TOKEN", "the token for those issues"),
    plain("BACKUP_NOTIFY_SUCCESS", "`notify[].on_success`"),
    plain("BACKUP_NOTIFY_FAILURE", "`notify[].on_failure`"),
    plain("AWS_ACCESS_KEY_ID", "`repository.access_key_id`"),
    secret("AWS_SECRET_ACCESS_KEY", "`repository.secret_access_key`"),
    secret("AWS_SESSION_TOKEN", "`repository.session_token`"),
    plain("AWS_REGION", "`repository.region`"),
    plain("AWS_DEFAULT_REGION", "the same, when `AWS_REGION` is not set"),
    plain("AWS_ENDPOINT_URL_S3", "`repository.endpoint`"),
    plain("AWS_ENDPOINT_URL", "the same, when `AWS_ENDPOINT_URL_S3` is not set"),
    plain("AZURE_STORAGE_ACCOUNT", "`repository.azure_account`"),
    secret("AZURE_STORAGE_KEY", "`repository.azure_key`"),
    secret("AZURE_STORAGE_SAS_TOKEN", "`repository.azure_sas_token`"),
    plain(
        "BACKUP_TARGET_ACCESS_KEY_ID",
        "access key id of a bucket to restore into, where it is another than `AWS_ACCESS_KEY_ID`",
    ),
    secret("BACKUP_TARGET_SECRET_ACCESS_KEY", "the secret access key that goes with it"),
    secret("BACKUP_TARGET_SESSION_TOKEN", "the session token that goes with it"),
    plain("GOOGLE_APPLICATION_CREDENTIALS", "the file of a service account, for `gs:` URLs"),
];

/// Returns a note for each variable that looks like a misspelt one of ours.
pub(crate) fn misspelt(environment: &Environment) -> Vec<String> {
    let known: Vec<String> = VARIABLES
        .iter()
        .flat_map(|variable| {
            let suffixes: &[&str] =
                if variable.secret { &["", "_FILE", "_COMMAND"] } else { &[""] };
            suffixes.iter().map(|suffix| format!("{}{suffix}", variable.name))
        })
        .collect();
    environment
        .names()
        .filter(|name| name.starts_with("BACKUP_") && !known.iter().any(|k| k == name))
        .filter_map(|name| {
            let meant = nearest(name, known.iter().map(String::as_str))?;
            Some(format!("{name} is set, but means nothing; did you mean {meant}?"))
        })
        .collect()
}
