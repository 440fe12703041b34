//! What goes wrong on the way, and must come to the same in the end.

use backup_core::ErrorKind;
use backup_core::port::{Clock, CopyFrom, Intent, Platform};
use backup_core::{Purpose, Secret};
use backup_provider_neon::NeonConfig;
use backup_testkit::vendor::neon::KEY;
use backup_testkit::vendor::{Trouble, Upset};

use crate::world::World;

fn copy(world: &World, run: u32) -> (String, Intent) {
    let name = world.name(Purpose::Freeze, run);
    let expires_at = world.clock.now().checked_add(jiff::SignedDuration::from_hours(24)).ok();
    (name.clone(), Intent::Copy { name, from: CopyFrom::Now, expires_at })
}

#[tokio::test]
async fn whatever_happens_to_a_request_there_is_exactly_one_branch() {
    let troubles = [
        Trouble::new(Upset::Throttled(Some(30))),
        Trouble::new(Upset::Throttled(None)).times(3),
        Trouble::new(Upset::Busy).times(40),
        Trouble::new(Upset::Fails(503)).times(2),
        Trouble::new(Upset::Fails(500)),
        Trouble::new(Upset::FailsAfter(500)),
        Trouble::new(Upset::Page(502)),
        Trouble::new(Upset::LosesRequest),
        Trouble::new(Upset::LosesAnswer),
    ];
    for (run, trouble) in troubles.into_iter().enumerate() {
        for method in ["POST", "GET"] {
            let world = World::new().await;
            world.vendor.trouble(trouble.clone().method(method));
            let (name, intent) = copy(&world, run as u32);
            let done = world.run(intent).await;
            assert!(done.is_ok(), "{trouble:?} of {method}: {done:?}");
            let made = world.neon.branches().into_iter().filter(|branch| *branch == name).count();
            assert_eq!(made, 1, "{trouble:?} of {method}");
        }
    }
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_kept_and_counted() {
    let world = World::new().await;
    world.vendor.trouble(Trouble::new(Upset::Throttled(Some(33))).method("GET"));
    let neon = world.neon();
    neon.facts().await.unwrap();
    assert!(world.clock.slept() >= std::time::Duration::from_secs(33));
    let rate = neon.rate().unwrap();
    assert_eq!(rate.throttled, 1);
    assert_eq!(rate.requests as usize, world.vendor.log().len());
}

#[tokio::test]
async fn an_operation_that_fails_is_a_failure_with_the_vendors_reason() {
    let world = World::new().await;
    world.neon.fail_next("start_compute");
    let error = world.run(copy(&world, 1).1).await.unwrap_err();
    assert!(error.contains("the storage was full"), "{error}");
}

#[tokio::test]
async fn words_of_a_later_version_mean_that_it_goes_on() {
    let mut world = World::new().await;
    world.neon.speak_of_the_future();
    world.vendor = world.neon.serve_unchecked().await;
    assert!(world.run(copy(&world, 1).1).await.is_ok());
}

#[tokio::test]
async fn a_wrong_key_is_refused_at_once_and_shown_nowhere() {
    let world = World::new().await;
    let wrong = "napi_wrong_0123456789";
    let neon = world.with(NeonConfig { api_key: Secret::new(wrong), ..world.config() });
    let error = neon.facts().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable);
    let shown = format!("{error:?} {error} {neon:?}");
    assert!(shown.contains("401") && shown.contains("req-fake-1"), "{shown}");
    assert!(error.remedy().unwrap().contains("token"), "{shown}");
    assert!(!shown.contains(wrong) && !shown.contains(KEY), "{shown}");
    assert_eq!(world.vendor.log().len(), 1, "not asked twice");
}

#[tokio::test]
async fn an_account_that_may_not_set_an_expiry_gets_its_branch_all_the_same() {
    let world = World::new().await;
    world.neon.refuse_expiry();
    let (name, intent) = copy(&world, 1);
    assert!(world.run(intent).await.is_ok());
    assert!(world.neon.branches().contains(&name));
    let made = world.neon().copies(&name).await.unwrap();
    assert_eq!(made[0].expires_at, None);
}

#[tokio::test]
async fn a_vendor_that_is_gone_is_an_unreachable_source() {
    let world = World::new().await;
    let neon =
        world.with(NeonConfig { api_url: Some("http://127.0.0.1:1".into()), ..world.config() });
    let error = neon.facts().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable);
    assert_eq!(error.status(), backup_core::ErrorStatus::Persistent);
}
