//! PlanetScale's MySQL as its own schema describes it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{Ability, Clock, CopyFrom, Done, Intent, Platform, Progress};
use backup_core::{ErrorKind, FindingKind, OwnedName, Purpose, Secret};
use backup_provider_planetscale::{PlanetscaleConfig, PlanetscalePlatform};
use backup_testkit::FakeClock;
use backup_testkit::conformance::{self, PlatformCase};
use backup_testkit::vendor::planetscale::{
    DATABASE, FakePlanetscale, MAIN, ORGANIZATION, PASSWORD, TOKEN,
};
use backup_testkit::vendor::{FakeVendor, Trouble, Upset};

const URL: &str = "mysql://nobody@aws.connect.psdb.cloud/shop";

struct World {
    clock: Arc<FakeClock>,
    fake: FakePlanetscale,
    vendor: FakeVendor,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(FakeClock::default());
        let fake = FakePlanetscale::mysql(clock.clone(), Duration::from_secs(90), None);
        let vendor = fake.serve().await;
        Self { clock, fake, vendor }
    }

    fn at(&self, url: &str) -> PlanetscalePlatform {
        let config = PlanetscaleConfig {
            token: Secret::new(TOKEN),
            organization: ORGANIZATION.into(),
            database: DATABASE.into(),
            branch: None,
            cluster_size: None,
            url: Secret::new(url),
            api_url: Some(self.vendor.url()),
        };
        PlanetscalePlatform::new(config, self.clock.clone()).unwrap()
    }

    fn name(&self, purpose: Purpose, run: u32) -> String {
        OwnedName::new(&"shop".parse().unwrap(), purpose, self.clock.now(), run).to_string()
    }

    async fn run(&self, intent: Intent) -> Done {
        let platform = self.at(URL);
        let handle = platform.begin(&intent).await.unwrap();
        loop {
            match platform.poll(&handle).await.unwrap() {
                Progress::Done(done) => return done,
                Progress::Failed { reason } => panic!("{reason}"),
                Progress::Running { look_again, .. } => self.clock.sleep(look_again).await,
            }
        }
    }
}

#[async_trait]
impl PlatformCase for World {
    fn platform(&self) -> Arc<dyn Platform> {
        Arc::new(self.at(URL))
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
        !self.fake.branches().iter().any(|branch| branch == name)
            && self.fake.passwords().is_empty()
    }
}

#[tokio::test]
async fn mysql_keeps_the_contract_of_platforms_within_planetscales_schema() {
    let world = World::new().await;
    conformance::platform(&world).await;
    assert_eq!(world.vendor.broken(), Vec::<String>::new());
    assert_eq!((world.fake.branches(), world.fake.backups()), (vec![MAIN.to_owned()], Vec::new()));
    assert_eq!(world.fake.passwords(), Vec::<String>::new(), "every credential is given back");
    let platform = world.platform();
    assert!(platform.needs_copy() && !platform.can(Ability::CopyAt));
    assert_eq!(platform.window().await.unwrap(), None, "no moment between two backups comes back");
    assert!(!world.at(&format!("{URL}?fuzzy=true")).needs_copy());
}

#[tokio::test]
async fn a_branch_is_read_by_a_password_that_ends_and_that_nobody_else_has() {
    let world = World::new().await;
    let backup = world.name(Purpose::Snapshot, 1);
    let backup = world.run(Intent::CreateSnapshot { name: backup, expires_at: None }).await;
    let name = world.name(Purpose::Freeze, 1);
    let from = CopyFrom::Snapshot(backup.id.unwrap());
    let done = world.run(Intent::Copy { name: name.clone(), from, expires_at: None }).await;
    assert_eq!(done.id.as_deref(), Some(name.as_str()));
    let platform = world.platform();
    let endpoint = platform.copy_endpoint(&name).await.unwrap();
    let url = endpoint.url.expose();
    assert!(url.contains("@aws.connect.psdb.cloud/shop?ssl-mode=verify-identity"), "{url}");
    assert!(!url.contains("fuzzy"));
    let made = world.vendor.log().into_iter().rfind(|ask| ask.method == "POST").unwrap();
    assert_eq!((made.text("/role"), made.field("/ttl").as_u64()), (Some("reader"), Some(3_600)));
    assert!(endpoint.findings.iter().any(|one| one.message.starts_with("nobody else has")));
    world.clock.sleep(Duration::from_secs(1_800)).await;
    let renewed = platform.renew(&endpoint).await.unwrap();
    assert_eq!(renewed, world.clock.now().checked_add(jiff::SignedDuration::from_hours(1)).ok());
    platform.release(&endpoint).await.unwrap();
    assert!(world.fake.passwords().is_empty());

    world.fake.add_password(&name);
    let endpoint = platform.copy_endpoint(&name).await.unwrap();
    let other = endpoint.findings.iter().find(|one| one.kind == FindingKind::Warning).unwrap();
    assert!(other.message.starts_with("1 other passwords"), "{other:?}");
    let refused = platform.drill_endpoint(&name).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    // Of the database itself, only whoever asks for it gets what is not one instant.
    let live = world.at(&format!("{URL}?fuzzy=true")).endpoint().await.unwrap();
    assert!(live.url.expose().ends_with("&fuzzy=true"));
    assert_eq!(world.vendor.broken(), Vec::<String>::new());
}

#[tokio::test]
async fn what_does_not_fit_the_url_is_told() {
    let world = World::new().await;
    let facts = world.platform().facts().await.unwrap();
    assert_eq!(facts.location, "planetscale shop-inc/shop/main/shop");
    assert!(facts.findings.iter().all(|one| one.kind != FindingKind::Suspect), "{facts:#?}");
    for (url, part) in [
        ("mysql://nobody@aws.connect.psdb.cloud/crm", "has no keyspace crm"),
        ("postgres://nobody@aws.connect.psdb.cloud/shop", "of kind mysql"),
    ] {
        let facts = world.at(url).facts().await.unwrap();
        let doubt = facts.findings.iter().find(|one| one.kind == FindingKind::Suspect).unwrap();
        assert!(doubt.message.contains(part), "{doubt:?}");
    }
}

#[tokio::test]
async fn a_size_that_is_refused_gives_way_to_the_sources_own() {
    let world = World::new().await;
    let backup = world.name(Purpose::Snapshot, 1);
    let backup = world.run(Intent::CreateSnapshot { name: backup, expires_at: None }).await;
    let id = backup.id.unwrap();
    let sizes = || -> Vec<String> {
        let asked = world.vendor.log().into_iter().filter(|ask| ask.method == "POST");
        asked.filter_map(|ask| ask.text("/cluster_size").map(str::to_owned)).collect()
    };
    let copy = |run: u32| Intent::Copy {
        name: world.name(Purpose::Freeze, run),
        from: CopyFrom::Snapshot(id.clone()),
        expires_at: None,
    };
    world.run(copy(1)).await;
    assert_eq!(sizes(), ["PS_10"]);
    world.vendor.trouble(Trouble::new(Upset::Fails(422)).method("POST").path("/branches"));
    world.run(copy(2)).await;
    assert_eq!(sizes(), ["PS_10", "PS_10", "PS_40"]);
    // There is no third.
    let twice = Trouble::new(Upset::Fails(422)).method("POST").path("/branches").times(2);
    world.vendor.trouble(twice);
    world.platform().begin(&copy(3)).await.unwrap_err();
    assert_eq!(sizes(), ["PS_10", "PS_10", "PS_40", "PS_10", "PS_40"]);
}

#[tokio::test]
async fn a_copy_that_began_as_a_production_branch_is_dropped_and_one_that_became_it_is_not() {
    let world = World::new().await;
    let backup = world.name(Purpose::Snapshot, 1);
    let backup = world.run(Intent::CreateSnapshot { name: backup, expires_at: None }).await;
    let id = backup.id.unwrap();
    let platform = world.platform();
    let drop_of = |name: &str| Intent::DropCopy { id: name.to_owned() };
    for (run, from_the_beginning) in [(1, false), (2, true)] {
        if from_the_beginning {
            world.fake.restore_to_production();
        }
        let (name, from) = (world.name(Purpose::Freeze, run), CopyFrom::Snapshot(id.clone()));
        let intent = Intent::Copy { name: name.clone(), from, expires_at: None };
        let handle = platform.begin(&intent).await.unwrap();
        while !matches!(platform.poll(&handle).await.unwrap(), Progress::Done(_)) {
            world.clock.sleep(Duration::from_secs(10)).await;
        }
        world.fake.promote(&name);
        // Another process does not know how it began.
        let refused = world.platform().begin(&drop_of(&name)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
        let dropped = platform.begin(&drop_of(&name)).await;
        assert_eq!(dropped.is_ok(), from_the_beginning, "{dropped:?}");
        assert_eq!(world.fake.branches().contains(&name), !from_the_beginning);
    }
    assert!(world.platform().begin(&drop_of(MAIN)).await.is_err());
}
