//! What is said of an account.

use backup_core::port::{EndpointKind, Platform};
use backup_core::{ErrorKind, FindingKind, Secret};
use backup_provider_neon::{NeonConfig, ScheduleItem};
use backup_testkit::vendor::neon::PROJECT;

use crate::world::World;

#[tokio::test]
async fn looking_only_reads_and_says_what_is_and_is_not_protected() {
    let world = World::new().await;
    world.neon.settings("free_v3", 6 * 3600, false);
    world.neon.add_snapshot("by hand", "2025-12-30T00:00:00Z".parse().unwrap(), true);
    let facts = world.neon().facts().await.unwrap();
    assert_eq!(facts.location, format!("neon {PROJECT}/main/shop"));
    assert_eq!(facts.system, format!("neon:{PROJECT}/main"));
    assert_eq!(facts.plan.as_deref(), Some("free_v3"));
    assert_eq!(facts.server_major, Some(17));
    let window = facts.window.unwrap();
    assert_eq!(window.earliest.to_string(), "2025-12-31T18:00:00Z");
    let said: Vec<&str> = facts.findings.iter().map(|finding| finding.message.as_str()).collect();
    for part in [
        "last 6 h",
        "1 manual snapshots, 1 are included",
        "stores no passwords",
        "die with the project",
    ] {
        assert!(said.iter().any(|text| text.contains(part)), "{part}: {said:#?}");
    }
    assert!(facts.findings.iter().any(|finding| finding.kind == FindingKind::Warning));
    assert!(world.vendor.log().iter().all(|ask| ask.method == "GET"), "nothing was changed");
}

#[tokio::test]
async fn a_pooled_address_is_replaced_and_the_reason_is_said() {
    let world = World::new().await;
    let pooled = Secret::new(world.neon.url("shop", true));
    let endpoint =
        world.with(NeonConfig { url: pooled, ..world.config() }).endpoint().await.unwrap();
    assert_eq!(endpoint.kind, EndpointKind::Direct);
    assert_eq!(endpoint.url.expose(), world.neon.url("shop", false));
    assert!(endpoint.findings[0].message.contains("pooler"), "{:?}", endpoint.findings);
    assert_eq!(world.vendor.log().len(), 0, "that needs no request");
}

#[tokio::test]
async fn the_project_is_found_by_the_address_and_a_foreign_address_is_refused() {
    let world = World::new().await;
    let found =
        world.with(NeonConfig { project_id: None, ..world.config() }).facts().await.unwrap();
    assert!(found.system.contains(PROJECT));
    let foreign = Secret::new("postgres://a:b@ep-else-where-1.eu.aws.neon.tech/shop");
    let error =
        world.with(NeonConfig { url: foreign, ..world.config() }).facts().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("ep-else-where-1"), "{error}");
    let error = world
        .with(NeonConfig { project_id: Some("other-1".into()), ..world.config() })
        .facts()
        .await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn the_vendors_own_schedule_is_read_and_replaced() {
    let world = World::new().await;
    let neon = world.neon();
    assert_eq!(neon.schedule().await.unwrap(), []);
    let daily = ScheduleItem {
        frequency: "daily".into(),
        hour: Some(3),
        day: None,
        month: None,
        retention_seconds: Some(7 * 86_400),
    };
    neon.set_schedule(std::slice::from_ref(&daily)).await.unwrap();
    assert_eq!(neon.schedule().await.unwrap(), [daily]);
    let told = neon.schedules().await.unwrap();
    assert_eq!(
        (told[0].often.as_str(), told[0].kept_seconds),
        ("daily at 03:00 UTC", Some(604_800))
    );
    neon.set_schedule(&[]).await.unwrap();
    assert_eq!(neon.schedule().await.unwrap(), []);
}
