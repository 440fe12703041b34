//! The pages people look at.

use backup_api::port::Role;
use backup_api::view::{LogLevel, LogLine};

use crate::port::now;
use crate::serve::{Served, loopback};

const PAGES: [&str; 7] = [
    "/",
    "/sources/orders",
    "/sources/analytics",
    "/runs",
    "/runs/run-catalog-now",
    "/storage",
    "/audit",
];

#[tokio::test]
async fn every_page_is_whole_and_may_load_only_its_own() {
    let served = Served::new(loopback()).await;
    for target in PAGES.into_iter().chain(["/login", "/sources/nowhere", "/runs?source=orders"]) {
        let heard = served.get(target).await;
        assert_eq!(heard.headers["content-type"], "text/html; charset=utf-8", "{target}");
        let policy = &heard.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(heard.body.starts_with("<!doctype html>") && heard.body.ends_with("</html>"));
        balanced(target, &heard.body);
        for inline in [" style=", " onclick", "<style", "javascript:", "http://", "https://"] {
            assert!(!heard.body.contains(inline), "{target} has {inline}");
        }
        assert!(heard.body.contains("lang=\"en\"") && heard.body.contains("id=\"main\""));
    }
    for file in ["/static/style.css", "/static/live.js", "/favicon.ico"] {
        assert_eq!(served.get(file).await.status, 200);
    }
    served.stop().await;
}

/// Every element that is opened is closed, in order.
fn balanced(target: &str, page: &str) {
    const EMPTY: [&str; 5] = ["!doctype", "meta", "link", "input", "br"];
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let (inside, _) = tag.split_once('>').unwrap_or_else(|| panic!("{target}: <{tag}"));
        let name: String = inside
            .trim_start_matches('/')
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '!')
            .collect();
        if inside.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name.as_str()), "{target}: </{inside}>");
        } else if !EMPTY.contains(&name.as_str()) && !inside.ends_with('/') {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<String>::new(), "{target}");
}

#[tokio::test]
async fn colour_is_never_the_only_sign() {
    let served = Served::new(loopback()).await;
    let page = served.get("/").await.body;
    for (shape, word) in
        [("●", "protected"), ("◐", "at risk"), ("▲", "unprotected"), ("○", "never backed up")]
    {
        assert!(
            page.contains(&format!("<span aria-hidden=\"true\">{shape}</span> {word}")),
            "{word}"
        );
    }
    // What is worst comes first, and is named above the table.
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(place("id=\"s-legacy-crm\"") < place("id=\"s-analytics\""));
    assert!(place("id=\"s-billing\"") < place("id=\"s-orders\""));
    assert!(place("Do this now") < place("<table"));
    assert!(
        page.contains("overdue 7 h") && page.contains("1 overdue"),
        "the strip says it in words"
    );
    served.stop().await;
}

#[tokio::test]
async fn hostile_text_stays_text() {
    let served = Served::new(loopback()).await;
    let evil = "</script><img src=x onerror=alert(1)>\"'&\u{202e}";
    served.world.change_fleet(|fleet| {
        for source in &mut fleet.sources {
            source.reasons = vec![evil.into(), format!("`{evil}`")];
            source.provider = evil.into();
            source.engine = evil.into();
            source.location = Some(evil.into());
            for next in &mut source.next {
                next.schedule = evil.into();
            }
            for day in &mut source.days {
                day.note = evil.into();
            }
            if let Some(drill) = &mut source.drill {
                drill.failures = vec![evil.into()];
            }
        }
        for repository in &mut fleet.repositories {
            repository.name = evil.into();
            repository.location = evil.into();
            repository.problems = vec![evil.into()];
        }
        for alert in &mut fleet.alerts {
            alert.name = evil.into();
            alert.message = evil.into();
            for delivery in &mut alert.deliveries {
                delivery.channel = evil.into();
                delivery.error = Some(evil.into());
            }
        }
        fleet.program.problems = vec![evil.into()];
        fleet.program.version = evil.into();
    });
    served.world.change_run(
        "run-catalog-now",
        |detail| {
            detail.run.by = Some(evil.into());
            detail.run.error = Some(evil.into());
            detail.run.remedy = Some(evil.into());
            detail.phases[0].name = evil.into();
            detail.log.push(LogLine { at: now(), level: LogLevel::Error, message: evil.into() });
        },
        |detail| backup_api::view::LiveKind::Run { run: detail.run.clone() },
    );
    let operator = served.token(Role::Operator).await;
    for target in PAGES {
        let heard = served.with(&operator, "GET", target, "").await;
        assert_eq!(heard.status, 200);
        assert!(!heard.body.contains("<img") && !heard.body.contains('\u{202e}'), "{target}");
        balanced(target, &heard.body);
        if target != "/runs" && target != "/audit" && target != "/sources/analytics" {
            assert!(heard.body.contains("&lt;img src=x"), "{target} shows it");
        }
    }
    let metrics = served.get("/metrics").await.body;
    assert!(metrics.lines().all(|line| line.starts_with('#') || line.starts_with("backup_")));
    served.stop().await;
}

#[tokio::test]
async fn a_viewer_sees_no_buttons() {
    let served = Served::new(loopback()).await;
    let page = served.get("/sources/orders").await.body;
    assert!(!page.contains("<form class=\"buttons\""));
    let operator = served.token(Role::Operator).await;
    let page = served.with(&operator, "GET", "/sources/orders", "").await.body;
    assert!(page.contains("<form class=\"buttons\""));
    served.stop().await;
}
