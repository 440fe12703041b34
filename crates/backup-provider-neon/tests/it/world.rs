//! A fake Neon, and the platform that calls it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{Clock, Done, Intent, Platform, Progress};
use backup_core::{OwnedName, Purpose, Result, Secret};
use backup_provider_neon::{NeonConfig, NeonPlatform};
use backup_testkit::FakeClock;
use backup_testkit::conformance::PlatformCase;
use backup_testkit::vendor::neon::{FakeNeon, KEY, PASSWORD, PROJECT};
use backup_testkit::vendor::{FakeVendor, Trouble, Upset};

/// A fake and its time.
pub(crate) struct World {
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) neon: FakeNeon,
    pub(crate) vendor: FakeVendor,
}

impl World {
    /// Operations take seven seconds.
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(FakeClock::default());
        let neon = FakeNeon::new(clock.clone(), Duration::from_secs(7), None);
        let vendor = neon.serve().await;
        Self { clock, neon, vendor }
    }

    pub(crate) fn config(&self) -> NeonConfig {
        NeonConfig {
            api_key: Secret::new(KEY),
            project_id: Some(PROJECT.to_owned()),
            url: Secret::new(self.neon.url("shop", false)),
            api_url: Some(self.vendor.url()),
        }
    }

    pub(crate) fn with(&self, config: NeonConfig) -> NeonPlatform {
        NeonPlatform::new(config, self.clock.clone()).unwrap()
    }

    pub(crate) fn neon(&self) -> NeonPlatform {
        self.with(self.config())
    }

    pub(crate) fn name(&self, purpose: Purpose, run: u32) -> String {
        OwnedName::new(&"shop".parse().unwrap(), purpose, self.clock.now(), run).to_string()
    }

    /// Begins and waits.
    pub(crate) async fn run(&self, intent: Intent) -> Result<Done, String> {
        let neon = self.neon();
        let handle = neon.begin(&intent).await.map_err(|error| format!("{error:?}"))?;
        loop {
            match neon.poll(&handle).await.map_err(|error| format!("{error:?}"))? {
                Progress::Done(done) => return Ok(done),
                Progress::Failed { reason } => return Err(reason),
                Progress::Running { look_again, .. } => self.clock.sleep(look_again).await,
            }
        }
    }
}

#[async_trait]
impl PlatformCase for World {
    fn platform(&self) -> Arc<dyn Platform> {
        Arc::new(self.neon())
    }

    fn clock(&self) -> Arc<FakeClock> {
        self.clock.clone()
    }

    fn secrets(&self) -> Vec<String> {
        vec![KEY.to_owned(), PASSWORD.to_owned()]
    }

    async fn lose_next_answer(&self) -> bool {
        self.vendor.trouble(Trouble::new(Upset::LosesAnswer).method("POST"));
        true
    }

    async fn nothing_left_of(&self, name: &str) -> bool {
        !self.neon.branches().iter().any(|branch| branch == name)
    }
}
