//! The control plane against a fake that is held to Supabase's own schema, and against exchanges
//! that were recorded at Supabase.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that calls them"
)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{
    Ability, Clock, CopyFrom, Handle, Intent, NativeState, Platform, Progress,
};
use backup_core::{Error, ErrorKind, FindingKind, Result, Secret};
use backup_provider_supabase::{Address, Restarts, SupabasePlatform};
use backup_testkit::FakeClock;
use backup_testkit::conformance::{PlatformCase, platform};
use backup_testkit::vendor::supabase::{FakeSupabase, PROJECT, TOKEN};
use backup_testkit::vendor::{FakeVendor, Trouble, Upset};
use jiff::Timestamp;

const PASSWORD: &str = "pw_only_for_tests";

struct World {
    fake: FakeSupabase,
    served: FakeVendor,
    clock: Arc<FakeClock>,
}

#[derive(Debug)]
struct Server(FakeSupabase);

#[async_trait]
impl Restarts for Server {
    async fn started(&self) -> Result<String> {
        let down = || Error::new(ErrorKind::SourceUnavailable, "connect to server");
        self.0.started().ok_or_else(down)
    }
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(FakeClock::new("2026-03-02T12:00:00Z".parse().unwrap()));
        let fake = FakeSupabase::new(Arc::clone(&clock) as _, Duration::from_secs(600));
        let served = fake.serve().await;
        Self { fake, served, clock }
    }

    fn connect(&self) -> SupabasePlatform {
        let url = format!("postgres://postgres:{PASSWORD}@db.{PROJECT}.supabase.co:6543/postgres");
        let address = Address::parse(&url).unwrap();
        let token = Secret::new(TOKEN);
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        SupabasePlatform::new(&self.served.url(), token, None, address, clock)
            .unwrap()
            .with_server(Arc::new(Server(self.fake.clone())))
    }

    fn ago(&self, seconds: i64) -> Timestamp {
        self.clock.now().saturating_sub(jiff::SignedDuration::from_secs(seconds)).unwrap()
    }

    fn restore_to(&self, at: Timestamp) -> Intent {
        Intent::RestoreInPlace { from: CopyFrom::At(at), keep_as: "unused".to_owned() }
    }

    async fn finish(&self, handle: &Handle) -> Progress {
        for _ in 0..200 {
            match self.connect().poll(handle).await.unwrap() {
                Progress::Running { look_again, .. } => self.clock.sleep(look_again).await,
                ended => return ended,
            }
        }
        panic!("never ends");
    }
}

#[async_trait]
impl PlatformCase for World {
    fn platform(&self) -> Arc<dyn Platform> {
        Arc::new(self.connect())
    }

    fn clock(&self) -> Arc<FakeClock> {
        Arc::clone(&self.clock)
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned(), PASSWORD.to_owned()]
    }
}

#[tokio::test]
async fn it_keeps_the_contract_of_platforms() {
    platform(&World::new().await).await;
}

#[tokio::test]
async fn a_project_is_looked_at_and_judged() {
    let world = World::new().await;
    let facts = world.connect().facts().await.unwrap();
    assert_eq!((facts.plan.as_deref(), facts.server_major), (Some("pro"), Some(17)));
    assert_eq!(facts.window, None);
    let said: String = facts.findings.iter().map(|f| format!("{}\n", f.message)).collect();
    for part in
        ["transaction mode", "daily backups, the newest", "IPv6 only", "pooler.supabase.com:5432"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(facts.findings.iter().all(|f| f.kind == FindingKind::Note), "{said}");
    let listed = world.connect().snapshots().await.unwrap();
    assert_eq!(
        (listed.len(), &listed[0].state, listed[0].automatic),
        (1, &NativeState::Ready, true)
    );
    assert!(!world.connect().can(Ability::CreateSnapshot));

    world.fake.settings("free", true, Vec::new());
    world.fake.set_status("INACTIVE");
    world.fake.forbid("/billing/");
    let platform = world.connect();
    let facts = platform.facts().await.unwrap();
    let said: Vec<String> =
        facts.findings.iter().map(|f| format!("{:?} {}", f.kind, f.message)).collect();
    let said = said.join("\n");
    assert!(said.contains("Suspect the project's status is INACTIVE"), "{said}");
    assert!(said.contains("Warning add-ons could not be read") && said.contains("403"), "{said}");
    assert!(
        said.contains("keeps no backup of this project that could be restored (plan: free)"),
        "{said}"
    );
    let rate = platform.rate().unwrap();
    assert!(rate.requests > 3 && rate.limit == Some(120), "{rate:?}");
}

#[tokio::test]
async fn a_restore_in_place_is_done_when_the_server_was_started_since() {
    let world = World::new().await;
    world.fake.enable_pitr(world.ago(86_400), Duration::from_secs(90));
    let at = world.ago(3600);
    let handle = world.connect().begin(&world.restore_to(at)).await.unwrap();
    // The first look still sees the project as it was.
    let first = world.connect().poll(&handle).await.unwrap();
    assert!(matches!(first, Progress::Running { .. }), "{first:?}");
    let ended = world.finish(&handle).await;
    assert!(
        matches!(&ended, Progress::Done(done) if done.notes[0].contains("Storage")),
        "{ended:?}"
    );
    assert_eq!(world.fake.restored_to(), [at.as_second()]);
    assert_eq!(world.served.count("POST", "restore-pitr"), 1);
}

#[tokio::test]
async fn a_moment_that_cannot_be_restored_is_refused_before_anything_is_asked_for() {
    let world = World::new().await;
    let refused = |at| {
        let (platform, intent) = (world.connect(), world.restore_to(at));
        async move { platform.begin(&intent).await.unwrap_err() }
    };
    let error = refused(world.ago(60)).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("no PITR add-on"), "{error}");
    world.fake.enable_pitr(world.ago(86_400), Duration::from_secs(600));
    for at in [world.ago(60), world.ago(90_000)] {
        let error = refused(at).await;
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("latest: 2026-03-02T11:50:00Z"), "{error}");
    }
    world.fake.set_status("PAUSING");
    assert_eq!(refused(world.ago(3600)).await.kind(), ErrorKind::Conflict);
    assert_eq!(world.served.count("POST", "restore-pitr"), 0);
}

#[tokio::test]
async fn lost_answers_put_nothing_back_twice_and_failures_are_told() {
    let world = World::new().await;
    world.fake.enable_pitr(world.ago(86_400), Duration::from_secs(90));
    for upset in [Upset::LosesAnswer, Upset::FailsAfter(502)] {
        let before = world.fake.restored_to().len();
        world.served.trouble(Trouble::new(upset).method("POST"));
        let handle = world.connect().begin(&world.restore_to(world.ago(3600))).await.unwrap();
        assert_eq!(world.fake.restored_to().len(), before + 1);
        assert!(matches!(world.finish(&handle).await, Progress::Done(_)));
        assert_eq!(world.fake.restored_to().len(), before + 1, "{upset:?}");
        world.fake.enable_pitr(world.ago(86_400), Duration::from_secs(90));
    }
    // It never arrived: said to be unknown, and tried once.
    world.served.trouble(Trouble::new(Upset::LosesRequest).method("POST"));
    let before = world.fake.restored_to().len();
    let error = world.connect().begin(&world.restore_to(world.ago(3600))).await.unwrap_err();
    assert!(error.remedy().unwrap().contains("not known"), "{error:?}");
    assert_eq!(world.fake.restored_to().len(), before);
    // Throttled is not executed, and tried again.
    world.served.trouble(Trouble::new(Upset::Throttled(Some(7))).method("POST"));
    world.fake.fail_restore();
    let handle = world.connect().begin(&world.restore_to(world.ago(3600))).await.unwrap();
    // A second command while it runs waits for it.
    world.clock.sleep(Duration::from_secs(60)).await;
    world.connect().begin(&world.restore_to(world.ago(3600))).await.unwrap();
    let ended = world.finish(&handle).await;
    assert!(matches!(&ended, Progress::Failed { reason } if reason.contains("RESTORE_FAILED")));
    assert_eq!(world.fake.restored_to().len(), before + 1);
}

#[test]
fn a_project_must_be_named_and_a_token_is_shown_nowhere() {
    let clock =
        || Arc::new(FakeClock::new("2026-03-02T12:00:00Z".parse().unwrap())) as Arc<dyn Clock>;
    let new = |url: &str, project: Option<&str>| {
        let address = Address::parse(url).unwrap();
        let base = backup_provider_supabase::API;
        SupabasePlatform::new(base, Secret::new(TOKEN), project, address, clock())
    };
    let own = "postgres://postgres:x@127.0.0.1/postgres";
    assert_eq!(new(own, None).unwrap_err().kind(), ErrorKind::ConfigInvalid);
    assert_eq!(new(own, Some("../admin")).unwrap_err().kind(), ErrorKind::ConfigInvalid);
    let platform = new(own, Some(PROJECT)).unwrap();
    assert!(!format!("{platform:?}").contains(TOKEN));
}
