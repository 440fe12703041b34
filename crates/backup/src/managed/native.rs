//! What a source's vendor keeps, for whoever judges the source.

use backup_config::{Settings, SourceSettings};
use backup_ops::SourceStatus;
use backup_ops::managed::{NativeStanding, count_in, look};
use jiff::Timestamp;

use crate::Composer;

impl Composer {
    /// Asks the vendor of a source what it keeps; reads only. Nothing where it keeps nothing that can
    /// be listed; where the source's promise counts that in, it is part of the answer why not.
    pub async fn native(&self, settings: &SourceSettings) -> Option<NativeStanding> {
        let why = match self.platform(settings) {
            Ok(Some(platform)) => match look(&*platform, &settings.name).await {
                Some(standing) => return Some(standing),
                None => NOT_LISTED.to_owned(),
            },
            Ok(None) => NOT_LISTED.to_owned(),
            Err(error) => error.to_string(),
        };
        let provider = settings.provider.to_string();
        settings.native.rpo.is_some().then(|| NativeStanding::unknown(&provider, why))
    }
}

/// Why snapshots are not counted that nobody can ask for.
const NOT_LISTED: &str = "its snapshots cannot be listed; look at the provider's key";

/// Counts in what the source's vendor keeps, by asking it; for a source that is not configured
/// nothing.
pub async fn count_native(
    composer: &Composer,
    settings: &Settings,
    status: &mut SourceStatus,
    now: Timestamp,
) {
    let Some(source) = settings.sources.iter().find(|one| one.name == status.source) else {
        return;
    };
    if let Some(native) = composer.native(source).await {
        count_in(status, native, now);
    }
}

#[cfg(test)]
mod tests {
    use backup_config::{Environment, Overrides};

    use super::*;

    #[tokio::test]
    async fn a_vendor_without_a_key_keeps_nothing_where_that_was_promised() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.toml");
        let url = "postgres://u@ep-a-b-123456.eu-central-1.aws.neon.tech/shop?sslmode=require";
        let source = String::from("[[source]]\nname = \"shop\"\nurl = \"env:URL\"\n");
        let environment = Environment::from_pairs([("URL", url)]);
        let judged = async |toml: String| {
            std::fs::write(&path, toml).unwrap();
            let settings =
                crate::load_settings(Some(&path), &environment, &Overrides::default()).unwrap();
            let now = Timestamp::UNIX_EPOCH;
            let mut status = backup_ops::assess(&[], &crate::promises(&settings), now).remove(0);
            let composer = Composer::new(environment.clone(), crate::system_clock());
            count_native(&composer, &settings, &mut status, now).await;
            status
        };
        let promised = judged(format!("{source}[source.native]\nrpo = \"2h\"\n")).await;
        let reason = promised.reasons.last().unwrap();
        assert!(reason.contains("is not known") && reason.contains(NOT_LISTED), "{reason}");
        assert_eq!(promised.native.unwrap().provider, "neon");
        let shown = judged(source).await;
        assert_eq!((shown.native, shown.reasons.len()), (None, 1));
    }
}
