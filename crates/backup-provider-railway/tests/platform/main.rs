//! The control plane against a fake that is held to Railway's own schema.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test that calls them"
)]

mod schema;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{Ability, Clock, CopyFrom, Done, Handle, Intent, Platform, Progress};
use backup_core::{ErrorKind, OwnedName, Purpose, Secret};
use backup_provider_railway::{DOCUMENTS, RailwayPlace, RailwayPlatform, Token};
use backup_testkit::FakeClock;
use backup_testkit::conformance::{PlatformCase, platform};
use backup_testkit::vendor::railway::{
    ACCOUNT, ENVIRONMENT, FakeRailway, PASSWORD, PROJECT, SERVICE, TOKEN,
};
use backup_testkit::vendor::{FakeVendor, Trouble, Upset};
use schema::{Judged, parse, schema};
use serde_json::json;

struct World {
    fake: FakeRailway,
    served: FakeVendor,
    clock: Arc<FakeClock>,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(FakeClock::new("2026-03-02T12:00:00Z".parse().unwrap()));
        let fake = FakeRailway::new(Arc::clone(&clock) as _, Duration::from_secs(40), None);
        let judged = Judged { vendor: fake.clone(), schema: schema() };
        let served = FakeVendor::start(Arc::new(judged), None).await;
        Self { fake, served, clock }
    }

    fn connect(&self) -> RailwayPlatform {
        self.connect_as(Token::Project(Secret::new(TOKEN)), RailwayPlace::default())
    }

    fn connect_as(&self, token: Token, place: RailwayPlace) -> RailwayPlatform {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let base = format!("{}/graphql/v2", self.served.url());
        RailwayPlatform::new(&base, token, place, None, clock).unwrap()
    }

    fn name(&self, purpose: Purpose, run: u32) -> String {
        OwnedName::new(&"shop".parse().unwrap(), purpose, self.clock.now(), run).to_string()
    }

    async fn finish(&self, platform: &RailwayPlatform, handle: &Handle) -> Progress {
        for _ in 0..100 {
            match platform.poll(handle).await.unwrap() {
                Progress::Running { look_again, .. } => self.clock.sleep(look_again).await,
                ended => return ended,
            }
        }
        panic!("never ends");
    }

    async fn done(&self, intent: Intent) -> Done {
        let platform = self.connect();
        let handle = platform.begin(&intent).await.unwrap();
        match self.finish(&platform, &handle).await {
            Progress::Done(done) => done,
            other => panic!("{other:?}"),
        }
    }

    fn restore(&self, backup: &str) -> Intent {
        let from = CopyFrom::Snapshot(backup.to_owned());
        Intent::RestoreInPlace { from, keep_as: String::new() }
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

#[test]
fn every_document_is_valid_by_railways_schema() {
    let Some(schema) = schema() else { return };
    for document in DOCUMENTS {
        let parsed = parse(&schema, document);
        assert!(parsed.is_ok(), "{document}\n{}", parsed.unwrap_err());
    }
    // A judge that passes everything proves nothing.
    for wrong in [
        "mutation { volumeInstanceBackupCreate(volumeInstanceId: \"v\") }",
        "query { volumeInstanceBackupList(volumeInstanceId: 5) { id } }",
        "query { workflowStatus(workflowId: \"w\") { progress } }",
    ] {
        assert!(parse(&schema, wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn it_keeps_the_contract_of_platforms() {
    platform(&World::new().await).await;
}

#[tokio::test]
async fn a_service_is_found_and_judged() {
    let world = World::new().await;
    let platform = world.connect();
    let facts = platform.facts().await.unwrap();
    assert_eq!((facts.plan.as_deref(), facts.server_major), (Some("hobby"), Some(17)));
    assert_eq!(facts.location, "service Postgres of project shop");
    let said: String = facts.findings.iter().map(|f| format!("{}\n", f.message)).collect();
    assert!(said.contains("Railway keeps no backup of the volume (schedule: daily)"), "{said}");
    let endpoint = platform.endpoint().await.unwrap();
    assert!(endpoint.url.expose().contains("monorail.proxy.rlwy.net"));
    // An account's token tells no project.
    let account = || Token::Account(Secret::new(ACCOUNT));
    let error = world.connect_as(account(), <_>::default()).facts().await.unwrap_err();
    assert!(error.remedy().unwrap().contains("RAILWAY_PROJECT_ID"), "{error:?}");
    let place = RailwayPlace {
        project: Some(PROJECT.to_owned()),
        environment: Some(ENVIRONMENT.to_owned()),
        service: Some("Postgres".to_owned()),
        inside: true,
    };
    let inside = world.connect_as(account(), place).endpoint().await.unwrap();
    assert!(inside.url.expose().contains("postgres.railway.internal"));
    world.fake.without_proxy();
    assert_eq!(world.connect().endpoint().await.unwrap_err().kind(), ErrorKind::ConfigInvalid);
    let wrong = world.connect_as(Token::Project(Secret::new("nonsense")), <_>::default());
    let error = wrong.facts().await.unwrap_err();
    assert!(error.remedy().unwrap().contains("RAILWAY_API_TOKEN"), "{error:?}");
    assert!(!format!("{error:?}").contains("nonsense"));
}

#[tokio::test]
async fn a_backup_is_found_by_its_name_and_only_its_own_is_deleted() {
    let world = World::new().await;
    let theirs = world.fake.add_backup("Manual", world.clock.now(), false);
    world.fake.keep_workflows_secret();
    let name = world.name(Purpose::Snapshot, 1);
    let intent = Intent::CreateSnapshot { name: name.clone(), expires_at: None };
    let id = world.done(intent).await.id.unwrap();
    assert_ne!(id, theirs);
    world.done(Intent::DeleteSnapshot { id }).await;
    assert_eq!(world.fake.backups(), ["Manual"]);
    world.done(Intent::ProtectSnapshot { id: theirs.clone(), protected: true }).await;
    let refused = world.connect().begin(&Intent::DeleteSnapshot { id: theirs }).await.unwrap_err();
    assert!(refused.to_string().contains("locked"), "{refused}");
    world.connect().set_schedule(&["DAILY", "WEEKLY"]).await.unwrap();

    // Lost on the way back, refused, and failed at Railway.
    let create =
        |run| Intent::CreateSnapshot { name: world.name(Purpose::Snapshot, run), expires_at: None };
    let platform = world.connect();
    platform.snapshots().await.unwrap();
    world.served.trouble(Trouble::new(Upset::LosesAnswer).after(1));
    let handle = platform.begin(&create(2)).await.unwrap();
    assert!(matches!(world.finish(&platform, &handle).await, Progress::Done(_)));
    assert_eq!(world.fake.backups().len(), 2, "once");
    world.fake.fail_next("Backup exceeds the limit");
    let handle = platform.begin(&create(3)).await.unwrap();
    let ended = world.finish(&platform, &handle).await;
    // Its workflow's id is not told, so that only the missing backup tells.
    assert!(
        matches!(&ended, Progress::Failed { reason } if reason.contains("appeared")),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_restore_in_place_tells_what_it_applies_and_applies_nothing_else() {
    let world = World::new().await;
    let old = world.fake.add_backup("Manual", world.clock.now(), false);
    world.clock.sleep(Duration::from_secs(3600)).await;
    world.fake.add_backup("newer", world.clock.now(), true);
    let platform = world.connect();
    let told = platform.preview(&world.restore(&old)).await.unwrap().join("\n");
    assert!(told.contains("deletes the 1 backups of the volume that are newer"), "{told}");

    // Somebody else's change waits: refused before anything is staged.
    world.fake.stage(json!({"services": {SERVICE: {"deploy": {"startCommand": "x"}}}}));
    let error = platform.begin(&world.restore(&old)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("service Postgres"), "{error}");
    world.fake.stage(json!({}));

    let handle = platform.begin(&world.restore(&old)).await.unwrap();
    let mut said = Vec::new();
    let ended = loop {
        match platform.poll(&handle).await.unwrap() {
            Progress::Running { state, look_again } => {
                said.push((state, world.fake.is_staged()));
                world.clock.sleep(look_again).await;
            }
            ended => break ended,
        }
    };
    assert!(matches!(ended, Progress::Done(_)), "{ended:?}");
    let about: Vec<_> = said.iter().filter(|(state, _)| state.contains("about to be")).collect();
    assert_eq!(about.len(), 1, "{said:?}");
    assert!(about[0].0.contains("service Postgres, volume") && about[0].1, "told before: {said:?}");

    // A change that comes in between is not applied with it.
    let handle = platform.begin(&world.restore(&old)).await.unwrap();
    while !world.fake.is_staged() {
        platform.poll(&handle).await.unwrap();
        world.clock.sleep(Duration::from_secs(5)).await;
    }
    world.fake.stage_beside();
    let ended = world.finish(&platform, &handle).await;
    let Progress::Failed { reason } = ended else { panic!("{ended:?}") };
    assert!(reason.contains("nothing was applied"), "{reason}");
    assert!(world.fake.is_staged());
    world.fake.stage(json!({}));
    world.fake.replicate(3);
    let error = world.connect().begin(&world.restore(&old)).await.unwrap_err();
    assert!(error.to_string().contains("replicas"), "{error}");
}

#[tokio::test]
async fn a_fork_is_a_service_of_its_own_and_dropped_whole() {
    let world = World::new().await;
    let name = world.name(Purpose::Drill, 1);
    let from = CopyFrom::At(world.clock.now());
    let intent = Intent::Copy { name: name.clone(), from, expires_at: None };
    assert!(world.connect().can(Ability::CopyAt));
    let id = world.done(intent.clone()).await.id.unwrap();
    assert_eq!(world.done(intent).await.id.unwrap(), id, "asked again, it is the same");
    assert_eq!(world.fake.services(), ["web", "Postgres", &name]);
    assert_eq!(world.fake.volumes(), 2);
    let listed = world.connect().copies("backupctl-shop-").await.unwrap();
    assert_eq!((listed.len(), &listed[0].id, listed[0].costs), (1, &id, true));
    let endpoint = world.connect().copy_endpoint(&id).await.unwrap();
    assert!(endpoint.url.expose().contains("proxy.rlwy.net"));
    world.done(Intent::DropCopy { id: id.clone() }).await;
    world.done(Intent::DropCopy { id }).await;
    assert_eq!((world.fake.services().len(), world.fake.volumes()), (2, 1));
    // A service that is none of ours stays, whoever asks.
    let refused = world.connect().begin(&Intent::DropCopy { id: SERVICE.to_owned() }).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(world.fake.volumes(), 1);
}

#[tokio::test]
async fn no_volume_outlives_its_fork_whatever_answer_is_lost() {
    let world = World::new().await;
    let platform = world.connect();
    let fork = async |run: u32| {
        let (name, from) = (world.name(Purpose::Freeze, run), CopyFrom::At(world.clock.now()));
        let intent = Intent::Copy { name: name.clone(), from, expires_at: None };
        (world.done(intent).await.id.unwrap(), name)
    };
    for (run, lost) in [(1, "serviceDelete"), (2, "volumeDelete")] {
        let (id, _) = fork(run).await;
        let handle = platform.begin(&Intent::DropCopy { id }).await.unwrap();
        assert_eq!((world.fake.services().len(), world.fake.volumes()), (3, 2), "only noted");
        world.served.trouble(Trouble::new(Upset::LosesAnswer).query(lost));
        platform.poll(&handle).await.unwrap_err();
        assert_eq!(world.fake.services().len(), 2, "{lost}");
        // The next look, or the next process by what is written down.
        let done = world.connect().poll(&handle).await.unwrap();
        assert!(matches!(done, Progress::Done(_)), "{lost}: {done:?}");
        assert_eq!(world.fake.volumes(), 1, "{lost}");
    }

    // What was noted is lost too, with the machine: the volume bears the fork's name.
    let (id, name) = fork(3).await;
    let handle = platform.begin(&Intent::DropCopy { id: id.clone() }).await.unwrap();
    world.served.trouble(Trouble::new(Upset::LosesAnswer).query("serviceDelete"));
    platform.poll(&handle).await.unwrap_err();
    let left = platform.copies("backupctl-shop-").await.unwrap();
    assert_eq!((left.len(), left[0].name.as_str(), left[0].costs), (1, name.as_str(), true));
    assert_ne!(left[0].id, id);
    world.done(Intent::DropCopy { id: left[0].id.clone() }).await;
    assert_eq!((world.fake.volumes(), platform.copies("").await.unwrap().len()), (1, 0));
    // The database's own volume is nobody's leftover.
    let own = "55555555-0000-4000-8000-000000000001".to_owned();
    let refused = platform.begin(&Intent::DropCopy { id: own }).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
}
