//! What is different about MySQL (Vitess).

use backup_core::port::{Endpoint, EndpointKind};
use backup_core::{Error, ErrorKind, Finding, Result, Secret};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::config::{database_of, is_fuzzy};
use crate::platform::{PlanetscalePlatform, ROLE_LIFE};
use crate::sizes;

/// What a way in is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The database itself.
    Live,
    /// A branch that nobody else should have a password for.
    Copy,
}

impl PlanetscalePlatform {
    /// Returns the keyspace that is the source: what the URL names, else the one that is called as
    /// the database.
    pub(crate) fn keyspace(&self) -> String {
        database_of(&self.config.url).unwrap_or_else(|| self.config.database.clone())
    }

    /// What is to be known of a branch before it is backed up.
    pub(crate) async fn mysql_findings(&self, branch: &str) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let keyspace = self.keyspace();
        let all = self.client.keyspaces(branch).await?;
        match all.iter().find(|one| one.name == keyspace) {
            Some(one) if one.shards > 1 => findings.push(Finding::warning(format!(
                "keyspace {keyspace} has {} shards: PlanetScale backs each of them up at an instant of \
                 its own",
                one.shards
            ))),
            Some(_) => {}
            None => findings.push(Finding::suspect(format!(
                "branch {branch} has no keyspace {keyspace}: name one of its own in the URL"
            ))),
        }
        let others: Vec<&str> =
            all.iter().map(|one| one.name.as_str()).filter(|name| *name != keyspace).collect();
        if !others.is_empty() {
            findings.push(Finding::warning(format!(
                "other keyspaces are not covered, each needs a source of its own: {}",
                others.join(", ")
            )));
        }
        findings.push(if is_fuzzy(&self.config.url) {
            Finding::warning(
                "fuzzy=true: the live branch is read piece by piece; no snapshot of it is one instant, \
                 all are suspect",
            )
        } else {
            Finding::note(
                "each backup has PlanetScale make a backup and restores it to a branch, which is billed \
                 until it is dropped at the end",
            )
        });
        Ok(findings)
    }

    /// Makes a password for one run that may read, and returns the way in with it.
    pub(crate) async fn mysql_way(&self, branch: &str, reading: Reading) -> Result<Endpoint> {
        let name = format!("backupctl-{}", self.clock.now().strftime("%Y%m%dt%H%M%S"));
        let body = json!({ "name": name, "role": "reader", "ttl": ROLE_LIFE.as_secs() });
        // A second one, should the answer be lost, ends by itself.
        let password = self.client.create_password(branch, &body).await?;
        let Some(secret) = password.plain_text.filter(|secret| !secret.is_empty()) else {
            return Err(Error::new(ErrorKind::SourceUnavailable, "create password")
                .with("provider", "planetscale")
                .because("it was not handed out")
                .hint("The service token needs connect_branch or connect_production_branch."));
        };
        let mut findings = vec![Finding::note(
            "read through a password that was made for this run, with the role reader, over TLS",
        )];
        if reading == Reading::Copy {
            findings.push(self.sole_reader(branch, &password.id).await);
        }
        let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (host, query) =
            password.access_host_url.split_once('?').unwrap_or((&password.access_host_url, TLS));
        let fuzzy = reading == Reading::Live && is_fuzzy(&self.config.url);
        let url = format!(
            "mysql://{}:{}@{host}/{}?{query}{}",
            escape(&password.username),
            escape(&secret),
            escape(&self.keyspace()),
            if fuzzy { "&fuzzy=true" } else { "" }
        );
        Ok(Endpoint {
            url: Secret::new(url),
            kind: EndpointKind::Direct,
            credential: Some(format!("{branch}/{}", password.id)),
            expires_at: password.expires_at,
            findings,
        })
    }

    /// Whether anybody else could write to a branch: who has no password cannot.
    async fn sole_reader(&self, branch: &str, own: &str) -> Finding {
        match self.client.passwords(branch).await {
            Ok(all) => match all.iter().filter(|one| one.id != own && !one.expired).count() {
                0 => Finding::note(format!("nobody else has a password for the branch {branch}")),
                others => Finding::warning(format!(
                    "{others} other passwords lead to the branch {branch}: that nobody wrote to it \
                         rests on its GTIDs or rows alone"
                )),
            },
            Err(error) => Finding::warning(format!(
                "whether others have a password for the branch {branch} cannot be read: {}",
                Error::from(error)
            )),
        }
    }

    /// Returns the size of a cluster that a backup fits into, and the source's own.
    pub(crate) async fn size_for(
        &self,
        branch: &str,
        backup: &str,
    ) -> Result<(Option<String>, Option<String>)> {
        let backup = self.client.backup(branch, backup).await?;
        let bytes = backup.holds();
        let keyspaces = self.client.keyspaces(branch).await?;
        let mut own: Vec<String> =
            keyspaces.into_iter().filter_map(|keyspace| keyspace.cluster_name).collect();
        if own.is_empty() {
            own.extend(self.client.branch(branch).await?.cluster_name);
        }
        // What cannot be listed is not chosen from.
        let known = self.client.sizes().await.unwrap_or_default();
        Ok((sizes::smallest(&known, &own, bytes), sizes::largest(&known, &own).cloned()))
    }
}

/// What a URL of PlanetScale's own demands.
const TLS: &str = "ssl-mode=verify-identity";
