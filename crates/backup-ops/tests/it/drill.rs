//! What a drill that failed says about the snapshot, and what it does not.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{
    DrillOptions, DrillTarget, IndexCheck, PartSource, RestoreReport, Restored, Scratch,
};
use backup_core::{Error, ErrorKind, Lsn, Result, Secret, Snapshot, VerifyLevel};
use backup_ops::Interrupt;
use backup_ops::drill::{DrillPoint, DrillRequest, drill};
use backup_ops::wal::RecoveryGoal;

use crate::fixture::{Server, back_up, clock, initialized, observer, open, request, tables};

/// Places in which nothing can be restored.
struct Unfit;

#[async_trait]
impl DrillTarget for Unfit {
    fn describe(&self) -> String {
        "unfit".into()
    }

    async fn sweep(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn open(&self, _: &Snapshot, _: &DrillOptions) -> Result<Box<dyn Scratch>> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl Scratch for Unfit {
    fn location(&self) -> String {
        "unfit".into()
    }

    fn server_version(&self) -> String {
        "1.0".into()
    }

    fn url(&self) -> Secret {
        Secret::new(String::new())
    }

    async fn restore(&mut self, _: &Snapshot, _: Arc<dyn PartSource>) -> Result<RestoreReport> {
        Err(Error::new(ErrorKind::Integrity, "read WAL object"))
    }

    async fn examine(&mut self, _: &Snapshot, _: &Arc<dyn PartSource>) -> Result<Restored> {
        Ok(Restored::default())
    }

    async fn check_indexes(&mut self) -> Result<IndexCheck> {
        Ok(IndexCheck::default())
    }

    async fn ask(&mut self, _: &str, _: Duration) -> Result<Option<String>> {
        Ok(None)
    }

    async fn remove(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn bad_wal_on_the_way_to_a_point_takes_no_proof_from_the_snapshot() {
    let repository = open(initialized().await).await.unwrap();
    let server = Server::new(tables(0));
    let snapshot = back_up(&repository, &server, &request()).await.unwrap().record.snapshot;
    let level = || async { repository.snapshots().await.unwrap()[0].verified.level };
    assert_eq!(level().await, VerifyLevel::Exists);
    let point = DrillPoint { goal: RecoveryGoal::Latest, timeline: 1, reaches: Lsn(7) };
    for (point, left) in [(Some(point), VerifyLevel::Read), (None, VerifyLevel::None)] {
        let request = DrillRequest {
            jobs: NonZeroUsize::MIN,
            assertions: Vec::new(),
            smoke: None,
            limit: Duration::from_secs(1),
            disaster: false,
            point,
            program: "test".into(),
        };
        let (clock, observer, never) = (clock(), observer(), Interrupt::never());
        let drilled =
            drill(&repository, &Unfit, &snapshot, &request, &clock, &observer, &never).await;
        assert_eq!(drilled.unwrap().verdict, "failed");
        assert_eq!(
            level().await,
            left,
            "read by itself it is sound; without a point it is to blame"
        );
    }
}
