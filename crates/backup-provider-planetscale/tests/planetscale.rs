//! PlanetScale's control plane as its own schema describes it: a fake that is held to the schema,
//! with virtual time and troubles on demand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{Ability, Clock, CopyFrom, Done, Intent, NativeState, Platform, Progress};
use backup_core::{ErrorKind, FindingKind, OwnedName, Purpose, Secret};
use backup_provider_planetscale::{PlanetscaleConfig, PlanetscalePlatform};
use backup_testkit::FakeClock;
use backup_testkit::conformance::{self, PlatformCase};
use backup_testkit::vendor::planetscale::{
    DATABASE, FakePlanetscale, MAIN, ORGANIZATION, PASSWORD, TOKEN,
};
use backup_testkit::vendor::{FakeVendor, Trouble, Upset};

struct World {
    clock: Arc<FakeClock>,
    fake: FakePlanetscale,
    vendor: FakeVendor,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(FakeClock::default());
        let fake = FakePlanetscale::new(clock.clone(), Duration::from_secs(90), None);
        let vendor = fake.serve().await;
        Self { clock, fake, vendor }
    }

    fn with_token(&self, token: &str) -> PlanetscalePlatform {
        let config = PlanetscaleConfig {
            token: Secret::new(token),
            organization: ORGANIZATION.into(),
            database: DATABASE.into(),
            branch: None,
            cluster_size: None,
            url: Secret::new("postgres://nobody@id-eu.horizon.psdb.cloud:6432/shop"),
            api_url: Some(self.vendor.url()),
        };
        PlanetscalePlatform::new(config, self.clock.clone()).unwrap()
    }

    fn name(&self, purpose: Purpose, run: u32) -> String {
        OwnedName::new(&"shop".parse().unwrap(), purpose, self.clock.now(), run).to_string()
    }

    async fn run(&self, intent: Intent) -> Result<Done, String> {
        let platform = self.with_token(TOKEN);
        let handle = platform.begin(&intent).await.map_err(|error| format!("{error:?}"))?;
        loop {
            match platform.poll(&handle).await.map_err(|error| format!("{error:?}"))? {
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
        Arc::new(self.with_token(TOKEN))
    }

    fn clock(&self) -> Arc<FakeClock> {
        self.clock.clone()
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.split(':').next_back().unwrap().to_owned(), PASSWORD.to_owned()]
    }

    async fn lose_next_answer(&self) -> bool {
        self.vendor.trouble(Trouble::new(Upset::LosesAnswer).method("POST").path("/b"));
        true
    }

    async fn nothing_left_of(&self, name: &str) -> bool {
        !self.fake.branches().iter().any(|branch| branch == name) && self.fake.roles().is_empty()
    }
}

#[tokio::test]
async fn planetscale_keeps_the_contract_of_platforms_within_its_own_schema() {
    let world = World::new().await;
    conformance::platform(&world).await;
    assert_eq!(world.vendor.broken(), Vec::<String>::new());
    assert_eq!((world.fake.branches(), world.fake.backups()), (vec![MAIN.to_owned()], Vec::new()));
    assert_eq!(world.fake.roles(), Vec::<String>::new(), "every credential is given back");
    assert!(!world.platform().can(Ability::CopyNow), "no cluster is billed unasked");
}

#[tokio::test]
async fn a_moment_is_restored_to_a_new_branch_of_the_same_size() {
    let world = World::new().await;
    let at = world.clock.now();
    let name = world.name(Purpose::Restore, 1);
    world.vendor.trouble(Trouble::new(Upset::LosesAnswer).method("POST"));
    let intent = Intent::Copy { name: name.clone(), from: CopyFrom::At(at), expires_at: None };
    let done = world.run(intent).await.unwrap();
    assert_eq!(done.id.as_deref(), Some(name.as_str()));
    assert!(done.notes[0].contains("billed"), "{done:?}");
    let posts: Vec<_> = world.vendor.log().into_iter().filter(|ask| ask.method == "POST").collect();
    assert_eq!(posts.len(), 1, "made once");
    assert_eq!(posts[0].text("/restore_point"), Some("2026-01-01T00:00:00Z"));
    assert_eq!(posts[0].text("/cluster_size"), Some("PS_10_AWS_ARM"));
}

#[tokio::test]
async fn backups_of_the_vendors_own_are_never_touched_and_failures_are_told() {
    let world = World::new().await;
    world.fake.add_required_backup(world.clock.now());
    let listed = world.platform().snapshots().await.unwrap();
    assert!(listed[0].automatic && listed[0].state == NativeState::Ready);
    let id = listed[0].id.clone();
    let refused = world.platform().begin(&Intent::DeleteSnapshot { id }).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(
        world.platform().window().await.unwrap().is_some(),
        "PITR reaches back to the oldest backup"
    );
    world.fake.fail_backups();
    let failed = world
        .run(Intent::CreateSnapshot { name: world.name(Purpose::Snapshot, 1), expires_at: None })
        .await;
    assert!(failed.unwrap_err().contains("failed"));
    for name in [MAIN, "feature"] {
        let refused =
            world.platform().begin(&Intent::DropCopy { id: name.into() }).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
    }
    assert_eq!(world.vendor.count("DELETE", ""), 0);
}

#[tokio::test]
async fn words_of_a_later_version_mean_that_it_goes_on() {
    let mut world = World::new().await;
    world.fake.speak_of_the_future();
    world.vendor = world.fake.serve_unchecked().await;
    let name = world.name(Purpose::Snapshot, 1);
    assert!(world.run(Intent::CreateSnapshot { name, expires_at: None }).await.is_ok());
}

#[tokio::test]
async fn looking_only_reads_and_warns_of_branches_that_cost_money() {
    let world = World::new().await;
    world.fake.reach_limit();
    world.fake.add_branch(&world.name(Purpose::Drill, 1), world.clock.now());
    world.fake.add_branch("feature", world.clock.now());
    let facts = world.platform().facts().await.unwrap();
    assert_eq!(facts.system, "planetscale:shop-inc/shop/main");
    assert_eq!(facts.location, "planetscale shop-inc/shop/main/shop");
    let warned: Vec<&str> = facts
        .findings
        .iter()
        .filter(|finding| finding.kind == FindingKind::Warning)
        .map(|finding| finding.message.as_str())
        .collect();
    for part in ["limit is reached", "1 branches of earlier runs", "die with the database"] {
        assert!(warned.iter().any(|text| text.contains(part)), "{part}: {warned:#?}");
    }
    assert!(world.vendor.log().iter().all(|ask| ask.method == "GET"), "nothing was changed");
    let wrong = "tokenid0001:wrong_0123456789";
    let error = world.with_token(wrong).facts().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable);
    assert!(!format!("{error:?}").contains("wrong_0123"), "{error:?}");
}

#[tokio::test]
async fn a_role_is_made_for_one_run_on_the_direct_port_and_given_back() {
    let world = World::new().await;
    let endpoint = world.platform().endpoint().await.unwrap();
    let url = endpoint.url.expose();
    assert!(url.contains(".horizon.psdb.cloud:5432/shop?sslmode=verify-full"), "{url}");
    assert!(endpoint.expires_at.is_some() && world.fake.roles().len() == 1);
    let made = world.vendor.log().into_iter().find(|ask| ask.method == "POST").unwrap();
    assert_eq!(made.field("/inherited_roles"), &serde_json::json!(["pg_read_all_data"]));
    // It lives an hour, and on while it is used.
    assert_eq!(made.field("/ttl"), &serde_json::json!(3_600));
    world.clock.sleep(Duration::from_secs(1_800)).await;
    let renewed = world.platform().renew(&endpoint).await.unwrap();
    assert_eq!(renewed, world.clock.now().checked_add(jiff::SignedDuration::from_hours(1)).ok());
    world.platform().release(&endpoint).await.unwrap();
    assert_eq!(world.fake.roles(), Vec::<String>::new());
    assert!(world.platform().renew(&endpoint).await.is_err(), "it is gone");

    // Where a drill makes databases, it acts as the owner of that copy.
    let name = world.name(Purpose::Drill, 1);
    world.fake.add_branch(&name, world.clock.now());
    let endpoint = world.platform().drill_endpoint(&name).await.unwrap();
    assert!(endpoint.url.expose().ends_with("options=-c%20role%3Dpostgres"));
    let made = world.vendor.log().into_iter().rfind(|ask| ask.method == "POST").unwrap();
    assert_eq!(made.field("/inherited_roles"), &serde_json::json!(["postgres"]));
    assert!(made.path.contains(&name), "{}", made.path);
    world.platform().release(&endpoint).await.unwrap();
    let told = world.platform().schedules().await.unwrap();
    assert!(told.iter().any(|one| one.often.starts_with("every ")), "{told:?}");
    assert_eq!(world.vendor.broken(), Vec::<String>::new());
}
