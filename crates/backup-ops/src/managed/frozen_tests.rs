//! Frozen copies of backups that fail.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{
    Capability, DataPlane, Discovery, DrillTarget, Endpoint, NoObserver, PartSink, Platform,
    Provider, Source, SourceFacts, SourceOptions,
};
use backup_core::{
    Error, ErrorKind, Event, Evidence, FindingKind, Result, RunId, SnapshotKind, SourceIdentity,
};
use backup_testkit::{FakeClock, MemoryBook, MemoryParts, MemoryPlatform, Recorder};

use super::{Conductor, LEFT_BEHIND, ManagedProvider, Patience, Strategy};

/// A database that fails, whose vendor stops dropping copies at that moment.
#[derive(Clone, Debug)]
struct Failing {
    vendor: MemoryPlatform,
    opens: bool,
}

impl Failing {
    fn fail(&self, operation: &'static str) -> Error {
        self.vendor.fail_operations(true);
        Error::new(ErrorKind::Failed, operation).because("the first error")
    }
}

impl DataPlane for Failing {
    fn database(&self, _: &Endpoint) -> Result<Arc<dyn Provider>> {
        Ok(Arc::new(self.clone()))
    }

    fn drills(&self, _: &Endpoint) -> Result<Arc<dyn DrillTarget>> {
        Err(Error::new(ErrorKind::Unsupported, "drill"))
    }
}

#[async_trait]
impl Provider for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::LogicalBackup]
    }

    async fn discover(&self) -> Result<Discovery> {
        Err(self.fail("discover"))
    }

    async fn open_source(&self, _: &SourceOptions) -> Result<Box<dyn Source>> {
        if !self.opens {
            return Err(self.fail("open database"));
        }
        let facts = SourceFacts {
            identity: SourceIdentity {
                engine: "memory".into(),
                system: "1".into(),
                database: "shop".into(),
            },
            database: "shop".into(),
            server_version: "1".into(),
            estimated_bytes: 0,
            location: "memory".into(),
        };
        Ok(Box::new(FailingSource(self.clone(), facts)))
    }
}

struct FailingSource(Failing, SourceFacts);

#[async_trait]
impl Source for FailingSource {
    fn facts(&self) -> &SourceFacts {
        &self.1
    }

    async fn copy_to(&mut self, _: &dyn PartSink) -> Result<Evidence> {
        Err(self.0.fail("copy tables"))
    }
}

#[tokio::test]
async fn a_copy_that_stays_is_told_where_the_backup_failed_too() {
    for opens in [false, true] {
        let clock = Arc::new(FakeClock::default());
        let vendor = MemoryPlatform::new(Arc::clone(&clock));
        let seen = Arc::new(Recorder::default());
        let conductor = Conductor {
            platform: Arc::new(vendor.clone()) as Arc<dyn Platform>,
            book: Arc::new(MemoryBook::default().process()),
            clock,
            source: "shop".parse().unwrap(),
            observer: Arc::new(NoObserver),
            patience: Patience::default(),
        };
        let plane = Arc::new(Failing { vendor: vendor.clone(), opens });
        let managed = ManagedProvider::new(conductor, plane, Strategy::Freeze, RunId([1; 16]));
        let options = SourceOptions {
            kind: SnapshotKind::Logical,
            jobs: NonZeroUsize::MIN,
            max_rate: None,
            physical: <_>::default(),
            observer: seen.clone(),
        };
        let error = match managed.open_source(&options).await {
            Ok(mut source) => source.copy_to(&MemoryParts::default()).await.unwrap_err(),
            Err(error) => error,
        };
        let said = error.to_string();
        assert!(said.contains("the first error"), "{opens}: {said}");
        assert!(said.contains("left behind at the provider"), "the alert shows it: {said}");
        let found = seen.events().into_iter().find_map(|event| match event {
            Event::Found(finding) if finding.message.starts_with(LEFT_BEHIND) => Some(finding),
            _ => None,
        });
        let found = found.unwrap();
        assert!(found.kind == FindingKind::Warning && found.message.contains("costs money"));
    }
}
