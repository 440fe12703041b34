//! Drills from settings: where to, and what to ask.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use backup_config::{AssertSettings, DrillSettings, RestorePreferences};
use backup_core::port::{DrillTarget, SmokeTest};
use backup_core::{Result, Secret};
use backup_ops::drill::{Assertion, DrillRequest};
use backup_postgres::scratch::{GivenServer, LocalServer};

use crate::Composer;
use crate::provider::connect_options;
use crate::smoke::SmokeCommand;

/// How long one question, or the smoke test, may take unless somebody said.
const LIMIT: Duration = Duration::from_secs(300);

impl Composer {
    /// Returns where a drill restores to: a database on the server at `to`, or a server started
    /// on this machine. Connects to nothing.
    pub fn drill_target(
        &self,
        to: Option<&Secret>,
        preferences: &RestorePreferences,
    ) -> Result<Arc<dyn DrillTarget>> {
        let Some(url) = to else {
            return Ok(Arc::new(LocalServer::new(self.tools().clone())));
        };
        let connect = connect_options(url.expose(), self.password()?)?;
        let server = GivenServer::new(url.clone(), connect, self.tools().clone())
            .with_ownership(!preferences.no_owner, !preferences.no_privileges)
            .with_roles(preferences.create_roles, preferences.role_map.clone());
        Ok(Arc::new(server))
    }

    /// Reads the URL of the server that drills of a source restore to: BACKUP_DRILL_URL, else
    /// the one that is configured, if any.
    pub fn drill_url(&self, settings: &DrillSettings) -> Result<Option<Secret>> {
        let to = self.given("BACKUP_DRILL_URL")?.or_else(|| settings.to.clone());
        to.as_ref().map(|to| self.resolve(to)).transpose()
    }
}

/// Returns what a drill asks by these settings; `program` names who drills.
#[must_use]
pub fn drill_request(settings: &DrillSettings, jobs: NonZeroUsize, program: &str) -> DrillRequest {
    let limit = |period: Option<backup_retention::Period>| {
        period.map_or(LIMIT, backup_retention::Period::as_duration)
    };
    let smoke = settings.smoke.as_ref().map(|line| {
        let smoke = SmokeCommand::new(line, limit(settings.smoke_timeout));
        Arc::new(smoke) as Arc<dyn SmokeTest>
    });
    DrillRequest {
        jobs,
        assertions: settings.asserts.iter().map(assertion).collect(),
        smoke,
        limit: limit(settings.question_timeout),
        disaster: false,
        program: program.to_owned(),
    }
}

fn assertion(settings: &AssertSettings) -> Assertion {
    Assertion {
        name: settings.name.clone(),
        sql: settings.sql.clone(),
        equals: settings.equals.clone(),
        tolerance: settings.tolerance,
        at_least: settings.at_least,
        at_most: settings.at_most,
        younger_than: settings.younger_than.map(backup_retention::Period::as_duration),
    }
}
