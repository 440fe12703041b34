//! The port's contract, and the vendor's.

use backup_testkit::conformance;
use backup_testkit::vendor::Contract;
use backup_testkit::vendor::{Ask, Reply};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn neon_keeps_the_contract_of_platforms_within_its_own_schema() {
    let world = World::new().await;
    conformance::platform(&world).await;
    assert_eq!(world.vendor.broken(), Vec::<String>::new());
    assert_eq!(world.neon.branches(), ["main"], "nothing is left behind");
    assert_eq!(world.neon.snapshots(), Vec::<String>::new());
}

/// The judge itself: what the documentation's own example does wrong is refused.
#[test]
fn the_schema_refuses_what_neon_would_pass_over() {
    let Some(contract) = Contract::load("neon.openapi.json") else { return };
    let ask =
        |method: &str, path: &str, query: &[(&str, &str)], body: Option<serde_json::Value>| Ask {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            headers: <_>::default(),
            body,
        };
    let snapshot = "/projects/p-1/branches/br-1/snapshot";
    let restore = "/projects/p-1/branches/br-1/restore";
    for (good, bad) in [
        (
            ask("POST", snapshot, &[("name", "a"), ("expires_at", "2026-01-01T00:00:00Z")], None),
            ask("POST", snapshot, &[], Some(json!({ "name": "a" }))),
        ),
        (
            ask(
                "POST",
                restore,
                &[],
                Some(json!({ "source_branch_id": "br-1", "preserve_under_name": "x" })),
            ),
            ask("POST", restore, &[], Some(json!({ "source_timestamp": "2026-01-01T00:00:00Z" }))),
        ),
        (
            ask("GET", "/projects/p-1/branches", &[("search", "x"), ("limit", "10")], None),
            ask("GET", "/projects/p-1/branches", &[("prefix", "x")], None),
        ),
        (
            ask("POST", "/projects/p-1/branches", &[], Some(json!({ "branch": { "name": "x" } }))),
            ask("POST", "/projects/p-1/branches", &[], Some(json!({ "branch": { "nam": "x" } }))),
        ),
        (
            ask("DELETE", "/projects/p-1/snapshots/s-1", &[], None),
            ask("DELETE", "/projects/P_1/snapshots/s-1", &[], None),
        ),
    ] {
        assert_eq!(contract.request(&good), Ok(()));
        assert!(contract.request(&bad).is_err(), "{bad:?}");
    }
    let list = ask("GET", "/projects/p-1/snapshots", &[], None);
    let answer = |body| contract.answer(&list, &Reply::ok(body));
    assert_eq!(answer(json!({ "snapshots": [] })), Ok(()));
    assert!(answer(json!({ "snapshots": [{ "id": "s-1", "name": "a" }] })).is_err());
    assert!(answer(json!({ "items": [] })).is_err());
}
