//! Neon without an API key: nothing but a safe address.

use async_trait::async_trait;
use backup_core::port::{Ability, Endpoint, EndpointKind, Platform, PlatformFacts};
use backup_core::{Finding, Result, Secret};

use crate::config::{direct_url, pooled_finding};

/// A source at Neon of which only the connection URL is known.
#[derive(Clone, Debug)]
pub struct NeonDirect {
    url: Secret,
}

impl NeonDirect {
    /// Takes the URL.
    #[must_use]
    pub fn new(url: Secret) -> Self {
        Self { url }
    }
}

#[async_trait]
impl Platform for NeonDirect {
    fn name(&self) -> &'static str {
        "neon"
    }

    fn capabilities(&self) -> &'static [Ability] {
        &[]
    }

    /// The location and the identity are those that the database itself tells.
    async fn facts(&self) -> Result<PlatformFacts> {
        let finding = Finding::warning(
            "NEON_API_KEY is not set: the database itself is dumped instead of a frozen branch, and Neon's \
             snapshots and history are neither used nor watched",
        );
        Ok(PlatformFacts { findings: vec![finding], ..PlatformFacts::default() })
    }

    async fn endpoint(&self) -> Result<Endpoint> {
        let (url, rewritten) = direct_url(self.url.expose());
        Ok(Endpoint {
            url: Secret::new(url),
            kind: EndpointKind::Direct,
            credential: None,
            expires_at: None,
            findings: rewritten.then(pooled_finding).into_iter().collect(),
        })
    }
}
