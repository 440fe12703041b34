//! What a drill that failed says about the snapshot, and what it does not.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{
    DrillOptions, DrillTarget, IndexCheck, PartSource, RestoreReport, Restored, Scratch,
};
use backup_core::{Error, ErrorKind, Finding, Lsn, Result, Secret, Snapshot, VerifyLevel};
use backup_ops::Interrupt;
use backup_ops::alert::left_behind_of;
use backup_ops::drill::{DrillPoint, DrillReceipt, DrillRequest, drill, newest};
use backup_ops::managed::LEFT_BEHIND;
use backup_ops::wal::RecoveryGoal;
use jiff::Timestamp;

use crate::fixture::{Server, back_up, clock, initialized, observer, open, request, tables};

/// Places in which nothing can be restored; those that are billed cannot be removed either.
#[derive(Clone, Copy)]
struct Unfit {
    billed: bool,
}

#[async_trait]
impl DrillTarget for Unfit {
    fn describe(&self) -> String {
        "unfit".into()
    }

    async fn sweep(&self) -> Result<Vec<Finding>> {
        let text = format!("{LEFT_BEHIND}the copy of an earlier drill, which costs money");
        Ok(self.billed.then(|| Finding::warning(text)).into_iter().collect())
    }

    async fn open(&self, _: &Snapshot, _: &DrillOptions) -> Result<Box<dyn Scratch>> {
        Ok(Box::new(*self))
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

    fn is_billed(&self) -> bool {
        self.billed
    }

    async fn remove(self: Box<Self>) -> Result<()> {
        match self.billed {
            true => Err(Error::new(ErrorKind::SourceUnavailable, "drop copy at the provider")),
            false => Ok(()),
        }
    }
}

fn asked(point: Option<DrillPoint>) -> DrillRequest {
    DrillRequest {
        jobs: NonZeroUsize::MIN,
        assertions: Vec::new(),
        smoke: None,
        limit: Duration::from_secs(1),
        disaster: false,
        point,
        program: "test".into(),
        keys: Vec::new(),
    }
}

#[tokio::test]
async fn what_a_drill_leaves_at_a_provider_is_in_its_receipt_and_told() {
    let repository = open(initialized().await).await.unwrap();
    let server = Server::new(tables(0));
    let snapshot = back_up(&repository, &server, &request()).await.unwrap().record.snapshot;
    let (clock, observer, never) = (clock(), observer(), Interrupt::never());
    let told = async |billed: bool| {
        let (target, request) = (Unfit { billed }, asked(None));
        let drilled =
            drill(&repository, &target, &snapshot, &request, &clock, &observer, &never).await;
        let receipt = drilled.unwrap();
        let found = receipt.findings.iter().map(|finding| finding.message.as_str());
        left_behind_of("shop", found, clock.now())
    };
    assert_eq!(told(false).await, None);
    let alert = told(true).await.unwrap();
    assert_eq!(alert.event, "provider.left_behind");
    for part in ["of an earlier drill", "unfit, which costs money; it is not known to be dropped"] {
        assert!(alert.body.contains(part), "{part}: {}", alert.body);
    }
    let stored = repository.drills(|_: &DrillReceipt| true).await.unwrap();
    assert!(stored.iter().any(|receipt| receipt.findings.len() >= 2), "and in the repository");
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
        let request = asked(point);
        let (clock, observer, never) = (clock(), observer(), Interrupt::never());
        let drilled = drill(
            &repository,
            &Unfit { billed: false },
            &snapshot,
            &request,
            &clock,
            &observer,
            &never,
        )
        .await;
        assert_eq!(drilled.unwrap().verdict, "failed");
        assert_eq!(
            level().await,
            left,
            "read by itself it is sound; without a point it is to blame"
        );
    }
}

/// A set that failed, then two drills of older sets that passed: what failed is still read.
#[tokio::test]
async fn receipts_are_followed_as_far_back_as_the_newest_set() {
    let repository = open(initialized().await).await.unwrap();
    let receipt = |at: &str, verdict: &str| -> DrillReceipt {
        let text = format!(
            r#"{{"schema":"backupctl.drill.v1","source":"all","snapshot":"aa","kind":"set",
                 "verdict":"{verdict}","at":"{at}","data_from":"{at}","disaster":false,
                 "target":"memory","source_version":"","server_version":"","program":"test",
                 "rto_seconds":null,"rpo_seconds":0,"validation_seconds":0,"seconds":0,
                 "phases":[],"tables":0,"rows":0,"files":0,"replay":null,"bytes":0,
                 "fetched_bytes":0,"questions":[],"findings":[],"members":[]}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    for (day, verdict) in [(1, "passed"), (5, "failed"), (6, "passed"), (7, "passed")] {
        let receipt = receipt(&format!("2026-01-0{day}T00:00:00Z"), verdict);
        repository.record_drill(receipt.at, &receipt).await.unwrap();
    }
    let (sources, nothing) = (BTreeSet::from(["all".to_owned()]), BTreeSet::new());
    let read = async |back_to: BTreeMap<String, Timestamp>| -> Vec<String> {
        let all = newest(&repository, &sources, &nothing, &back_to).await.unwrap();
        all.into_iter().map(|receipt| receipt.verdict).collect()
    };
    assert_eq!(read(BTreeMap::new()).await, ["passed", "passed"]);
    let begun = "2026-01-04T00:00:00Z".parse().unwrap();
    let far = read(BTreeMap::from([("all".to_owned(), begun)])).await;
    assert_eq!(far, ["passed", "passed", "failed", "passed"]);
}
