//! Supabase without a token: nothing but a safe address.

use async_trait::async_trait;
use backup_core::port::{Ability, Endpoint, Platform, PlatformFacts};
use backup_core::{Finding, Result};

use super::endpoint;
use crate::address::Address;

/// A project of which only the database's URL is known.
#[derive(Clone, Debug)]
pub struct SupabaseDirect {
    address: Address,
}

impl SupabaseDirect {
    /// Takes the address.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self { address }
    }
}

#[async_trait]
impl Platform for SupabaseDirect {
    fn name(&self) -> &'static str {
        "supabase"
    }

    fn capabilities(&self) -> &'static [Ability] {
        &[]
    }

    /// The location is the one that the database itself tells.
    async fn facts(&self) -> Result<PlatformFacts> {
        let finding = Finding::note(
            "SUPABASE_ACCESS_TOKEN is not set: Supabase's own backups and its point-in-time window \
             are not watched",
        );
        Ok(PlatformFacts {
            system: self.address.project.clone().unwrap_or_default(),
            findings: vec![finding],
            ..PlatformFacts::default()
        })
    }

    async fn endpoint(&self) -> Result<Endpoint> {
        Ok(endpoint(&self.address))
    }
}
