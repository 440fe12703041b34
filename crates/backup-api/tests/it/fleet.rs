//! A thousand sources: found, turned page by page, and not sent twice.

use backup_api::port::Role;
use backup_api::view::State;

use crate::port::now;
use crate::serve::{Served, loopback};
use crate::world::{World, picture};

async fn many() -> Served {
    let names: Vec<(String, State)> = (0..120)
        .map(|n| {
            let state = if n % 40 == 7 { State::Unprotected } else { State::Protected };
            (format!("database-{n:03}"), state)
        })
        .collect();
    let names: Vec<_> = names.iter().map(|(name, state)| (name.as_str(), *state)).collect();
    Served::of(World::new(picture(now(), &names)), loopback()).await
}

fn rows(page: &str) -> Vec<&str> {
    let id = |part: &str| part.find('"').map(|end| part[..end].len());
    page.split("<a id=\"s-").skip(1).map(|part| &part[..id(part).unwrap()]).collect()
}

#[tokio::test]
async fn pages_hold_fifty_worst_first_and_every_source_is_on_one() {
    let served = many().await;
    let first = served.get("/").await;
    let mut seen = rows(&first.body).iter().map(|row| (*row).to_owned()).collect::<Vec<_>>();
    assert_eq!(seen[..3], ["database-007", "database-047", "database-087"]);
    assert!(first.body.contains("1 to 50 of 120"), "{}", first.body);
    assert!(first.body.contains("role=\"search\""));
    for offset in [50, 100] {
        assert!(served.get("/").await.body.contains("offset=50"));
        let page = served.get(&format!("/?q=&state=&offset={offset}")).await;
        seen.extend(rows(&page.body).iter().map(|row| (*row).to_owned()));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 120);
    let beyond = served.get("/?offset=500").await;
    assert_eq!((beyond.status, rows(&beyond.body).len()), (200, 0));
    served.stop().await;
}

#[tokio::test]
async fn sources_are_found_by_name_and_state_and_what_is_typed_stays_text() {
    let served = many().await;
    let found = served.get("/?q=E-01&state=").await;
    assert_eq!(rows(&found.body).len(), 10);
    let bad = served.get("/?q=&state=unprotected").await;
    assert_eq!(rows(&bad.body).len(), 3);
    assert!(bad.body.contains("selected"), "what was chosen stays chosen");
    let none = served.get("/?q=%22%3E%3Cscript%3E&state=").await;
    assert!(none.body.contains("No source is like that"));
    assert!(!none.body.contains("\"><script>") && none.body.contains("&quot;&gt;&lt;script&gt;"));
    for wrong in ["/?q=a%00b", "/?state=asleep", &format!("/?q={}", "x".repeat(65))] {
        assert_eq!(served.get(wrong).await.status, 400, "{wrong}");
    }
    let listed = served.get("/api/v1/sources?q=-11&state=protected&limit=4").await.json();
    assert_eq!(listed["total"], 10);
    assert_eq!(listed["sources"].as_array().unwrap().len(), 4);
    served.stop().await;
}

#[tokio::test]
async fn who_has_the_newest_answer_is_told_so_and_nobody_gets_that_of_another() {
    let served = many().await;
    for target in ["/", "/api/backup/status"] {
        let first = served.get(target).await;
        let tag = first.headers["etag"].clone();
        assert_eq!(first.headers["cache-control"], "private, no-cache");
        let asked = format!("If-None-Match: {tag}");
        let again = served.ask("GET", target, &[&asked], "").await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{target}");
        assert_eq!(again.headers["etag"], tag);
    }
    let page = served.get("/").await;
    let asked = format!("If-None-Match: {}", page.headers["etag"]);
    assert_eq!(served.ask("GET", "/?q=1&state=", &[&asked], "").await.status, 200);
    let viewer = format!("Authorization: Bearer {}", served.token(Role::Viewer).await);
    assert_eq!(served.ask("GET", "/", &[&asked, &viewer], "").await.status, 200);

    let status = served.get("/api/backup/status").await;
    served.world.change_fleet(|fleet| fleet.sources[0].state = State::AtRisk);
    let asked = format!("If-None-Match: {}", status.headers["etag"]);
    let changed = served.ask("GET", "/api/backup/status", &[&asked], "").await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.json()["sources"][0]["state"], "at_risk");
    let metrics = served.get("/metrics").await.body;
    assert!(metrics.contains("backup_source_protected{source=\"database-000\"} 0"));
    served.stop().await;
}
