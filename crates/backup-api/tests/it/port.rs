//! The contract of the port, asked of the daemon in memory.

use backup_api::audit::{self, Act, Chain, Outcome};
use backup_api::port::{
    Actions, Facts, Job, Ledger, RestoreQuestion, Role, RunFilter, SnapshotFilter, TokenRecord,
    Trigger,
};
use backup_api::view::{LiveKind, RunState, State};
use backup_core::ErrorKind;
use futures::StreamExt;
use jiff::Timestamp;

use crate::world::{World, picture};

pub(crate) fn now() -> Timestamp {
    "2026-03-01T10:00:00Z".parse().unwrap()
}

pub(crate) const NAMES: &[(&str, State)] = &[
    ("orders", State::Protected),
    ("billing", State::AtRisk),
    ("catalog", State::Protected),
    ("legacy-crm", State::Unprotected),
    ("ledger", State::Protected),
    ("analytics", State::NeverBackedUp),
];

fn backup_of(source: &str) -> Trigger {
    Trigger { source: source.parse().unwrap(), job: Job::Backup, by: "local".into() }
}

#[tokio::test]
async fn a_job_is_started_once_seen_at_once_and_can_be_cancelled() {
    let world = World::new(picture(now(), NAMES));
    let mut events = world.subscribe();
    let run = world.trigger(&backup_of("orders")).await.unwrap();
    assert_eq!(run.state, RunState::Queued);
    let again = world.trigger(&backup_of("orders")).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    assert_eq!(world.cancel(&run.id).await.unwrap().state, RunState::Cancelled);
    assert_eq!(world.cancel(&run.id).await.unwrap_err().kind(), ErrorKind::Conflict);
    for state in [RunState::Queued, RunState::Cancelled] {
        let event = events.next().await.unwrap();
        assert_eq!(event.run.as_deref(), Some(run.id.as_str()));
        assert!(matches!(event.what, LiveKind::Run { run } if run.state == state));
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::new(picture(now(), NAMES));
    let nowhere = "nowhere".parse().unwrap();
    let filter = SnapshotFilter { source: Some("nowhere".parse().unwrap()), limit: 1, offset: 0 };
    let question = RestoreQuestion { snapshot: "ffffffffff".into(), ..Default::default() };
    let errors = [
        world.history(&nowhere).await.unwrap_err(),
        world.plan(&nowhere).await.unwrap_err(),
        world.snapshots(&filter).await.unwrap_err(),
        world.run("none").await.unwrap_err(),
        world.cancel("none").await.unwrap_err(),
        world.trigger(&backup_of("nowhere")).await.unwrap_err(),
        world.preview_restore(&question).await.unwrap_err(),
        world.revoke_token("none", now()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}

#[tokio::test]
async fn lists_are_newest_first_and_come_in_pages() {
    let world = World::new(picture(now(), NAMES));
    let page = |offset| SnapshotFilter { source: None, limit: 50, offset };
    let (first, second) =
        (world.snapshots(&page(0)).await.unwrap(), world.snapshots(&page(50)).await.unwrap());
    let times: Vec<_> = first.iter().chain(&second).map(|s| s.started_at).collect();
    assert_eq!(times.len(), 100);
    assert!(times.is_sorted_by(|a, b| a >= b));
    let filter =
        RunFilter { source: None, job: None, state: Some(RunState::Failed), limit: 5, offset: 0 };
    let failed = world.runs(&filter).await.unwrap();
    assert!(!failed.is_empty() && failed.iter().all(|run| run.error.is_some()));
}

#[tokio::test]
async fn the_ledger_takes_the_next_entry_only_and_keeps_the_first_revocation() {
    let world = World::new(picture(now(), NAMES));
    let mut chain = Chain::empty();
    let act = || Act {
        at: now(),
        actor: "local".into(),
        remote: "127.0.0.1".into(),
        action: "trigger".into(),
        object: "orders".into(),
        outcome: Outcome::Allowed,
    };
    let entries: Vec<_> = (0..4).map(|_| chain.append(act())).collect();
    world.append_audit(&entries[0]).await.unwrap();
    assert_eq!(world.append_audit(&entries[2]).await.unwrap_err().kind(), ErrorKind::Conflict);
    for entry in &entries[1..] {
        world.append_audit(entry).await.unwrap();
    }
    let page = world.audit(1, 2).await.unwrap();
    assert_eq!(page, entries[1..3]);
    assert!(audit::verify(Some(&entries[0]), &page).is_ok());
    world.forge_audit(|entries| entries[1].actor = "nobody".into());
    assert!(audit::verify(None, &world.audit(0, 10).await.unwrap()).is_err());

    let token = TokenRecord {
        id: "abc".into(),
        name: "nightly".into(),
        role: Role::Operator,
        hash: "00".repeat(32),
        created_at: now(),
        expires_at: None,
        revoked_at: None,
    };
    world.keep_token(&token).await.unwrap();
    assert_eq!(world.keep_token(&token).await.unwrap_err().kind(), ErrorKind::Conflict);
    let later = "2026-04-01T00:00:00Z".parse().unwrap();
    world.revoke_token("abc", now()).await.unwrap();
    world.revoke_token("abc", later).await.unwrap();
    assert_eq!(world.tokens().await.unwrap()[0].revoked_at, Some(now()));
}
