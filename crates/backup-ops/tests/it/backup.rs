//! What a backup refuses, doubts and survives.

use std::time::Duration;

use backup_core::{ErrorKind, VerifyLevel};
use backup_ops::{Depth, Interrupt, Plausibility, interrupt};

use crate::fixture::{
    Server, back_up, clock, initialized, observer, open, request, restored, tables,
};

#[tokio::test]
async fn commits_what_restores_and_says_how_far_it_is_proved() {
    let repository = open(initialized().await).await.unwrap();
    let server = Server::new(tables(0));
    let receipt = back_up(&repository, &server, &request()).await.unwrap();
    assert_eq!(receipt.record.verified.level, VerifyLevel::Exists);
    assert!(receipt.requests.creates > 0);
    assert_eq!(restored(&repository, &receipt.record.snapshot).await.unwrap(), server.tables());

    let read = backup_ops::BackupRequest { verify: Depth::Read, ..request() };
    let again = back_up(&repository, &server, &read).await.unwrap();
    assert_eq!(again.record.verified.level, VerifyLevel::Read);
    assert_eq!(again.record.snapshot.added_bytes, 0, "nothing had changed");
}

#[tokio::test]
async fn refuses_another_database_under_the_same_name() {
    let repository = open(initialized().await).await.unwrap();
    let mut server = Server::new(tables(0));
    back_up(&repository, &server, &request()).await.unwrap();
    server.system = "9999".into();
    let error = back_up(&repository, &server, &request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.remedy().unwrap().contains("--accept-new-identity"), "{error:?}");
    assert_eq!(repository.snapshots().await.unwrap().len(), 1);

    let accepted = backup_ops::BackupRequest { accept_new_identity: true, ..request() };
    back_up(&repository, &server, &accepted).await.unwrap();
    back_up(&repository, &server, &request()).await.unwrap();
}

#[tokio::test]
async fn lost_rows_make_a_suspect_snapshot_until_a_person_accepts_them() {
    let repository = open(initialized().await).await.unwrap();
    let server = Server::new(tables(0));
    back_up(&repository, &server, &request()).await.unwrap();
    server.tables.lock().unwrap().insert("orders".into(), Vec::new());
    for _ in 0..2 {
        let receipt = back_up(&repository, &server, &request()).await.unwrap();
        assert!(receipt.record.snapshot.is_suspect(), "it does not get used to it");
    }
    let accepted = backup_ops::BackupRequest {
        plausibility: Plausibility { accepted: true, ..request().plausibility },
        ..request()
    };
    assert!(!back_up(&repository, &server, &accepted).await.unwrap().record.snapshot.is_suspect());
    assert!(!back_up(&repository, &server, &request()).await.unwrap().record.snapshot.is_suspect());
}

#[tokio::test]
async fn a_lost_connection_commits_nothing() {
    let repository = open(initialized().await).await.unwrap();
    let mut server = Server::new(tables(0));
    server.breaks_after = Some(2);
    let error = back_up(&repository, &server, &request()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable);
    assert!(repository.snapshots().await.unwrap().is_empty());
    server.breaks_after = None;
    let receipt = back_up(&repository, &server, &request()).await.unwrap();
    assert_eq!(restored(&repository, &receipt.record.snapshot).await.unwrap(), server.tables());
}

#[tokio::test]
async fn an_interrupt_ends_a_hanging_backup_and_commits_nothing() {
    let repository = open(initialized().await).await.unwrap();
    let mut server = Server::new(tables(0));
    server.hangs_after = Some(1);
    for kind in [ErrorKind::Interrupted, ErrorKind::Terminated] {
        let (interrupter, listener) = interrupt();
        let asking = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            interrupter.request(kind);
        };
        let (asked, clock, observer) = (request(), clock(), observer());
        let running =
            backup_ops::backup(&repository, &server, &asked, &clock, &observer, &listener);
        let (result, ()) = tokio::join!(running, asking);
        assert_eq!(result.unwrap_err().kind(), kind);
        assert!(repository.snapshots().await.unwrap().is_empty());
    }
    server.hangs_after = None;
    back_up(&repository, &server, &request()).await.unwrap();
}

#[tokio::test]
async fn an_interrupt_before_the_start_reads_nothing() {
    let repository = open(initialized().await).await.unwrap();
    let (interrupter, listener) = interrupt();
    interrupter.request(ErrorKind::Interrupted);
    let server = Server::new(tables(0));
    let asked = request();
    let result =
        backup_ops::backup(&repository, &server, &asked, &clock(), &observer(), &listener).await;
    assert_eq!(result.unwrap_err().exit(), 130);
    assert!(Interrupt::never().asked().is_none());
}

trait Exit {
    fn exit(&self) -> u8;
}

impl Exit for backup_core::Error {
    fn exit(&self) -> u8 {
        self.kind().exit_code()
    }
}
