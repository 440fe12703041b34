//! Who may what, and that it is written down.

use backup_api::audit::{self, Outcome};
use backup_api::port::{Ledger, Role};
use backup_api::{Server, Settings};
use backup_core::ErrorKind;

use crate::port::{NAMES, now};
use crate::serve::{Served, loopback, ports};
use crate::world::{World, picture};

const BACKUP: &str = "{\"job\":\"backup\"}";
const RUNS: &str = "/api/v1/sources/orders/runs";

#[tokio::test]
async fn here_reading_needs_no_token_and_writing_does() {
    let served = Served::new(loopback()).await;
    assert_eq!(served.get("/api/v1/sources").await.status, 200);
    let json = "Content-Type: application/json";
    let refused = served.ask("POST", RUNS, &[json], BACKUP).await;
    assert_eq!(refused.status, 401);
    assert!(refused.headers["www-authenticate"].starts_with("Bearer"));
    let viewer = served.token(Role::Viewer).await;
    assert_eq!(served.with(&viewer, "POST", RUNS, BACKUP).await.status, 403);
    let operator = served.token(Role::Operator).await;
    assert_eq!(served.with(&operator, "GET", "/api/v1/tokens", "").await.status, 403);
    let accepted = served.with(&operator, "POST", RUNS, BACKUP).await;
    assert_eq!(accepted.status, 202);
    assert_eq!(accepted.json()["by"], "token operator");
    assert_eq!(served.get(&accepted.headers["location"]).await.status, 200);
    assert_eq!(served.with("bkp_nope_nope", "GET", "/api/v1/sources", "").await.status, 401);
    served.stop().await;
}

#[tokio::test]
async fn whoever_comes_through_a_proxy_or_by_a_foreign_name_is_not_here() {
    let served = Served::new(loopback()).await;
    for header in
        ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "Host: evil.example"]
    {
        let heard = served.ask("GET", "/api/v1/sources", &[header], "").await;
        assert_eq!(heard.status, 401, "{header}");
        let page = served.ask("GET", "/", &[header], "").await;
        assert_eq!((page.status, page.headers["location"].as_str()), (303, "/login"), "{header}");
        assert_eq!(served.ask("GET", "/health", &[header], "").await.status, 200);
    }
    served.stop().await;
    let mut settings = loopback();
    settings.hosts = vec!["backup.example.com".into()];
    let served = Served::new(settings).await;
    assert_eq!(served.ask("GET", "/", &["Host: backup.example.com"], "").await.status, 200);
    served.stop().await;
}

#[tokio::test]
async fn pages_of_other_sites_cannot_change_anything() {
    let mut settings = loopback();
    settings.open_writes = true;
    let served = Served::new(settings).await;
    let json = "Content-Type: application/json";
    for foreign in ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"] {
        let heard = served.ask("POST", RUNS, &[json, foreign], BACKUP).await;
        assert_eq!(heard.status, 403, "{foreign}");
        let form = "Content-Type: application/x-www-form-urlencoded";
        let heard =
            served.ask("POST", "/sources/orders/start", &[form, foreign], "job=backup").await;
        assert_eq!(heard.status, 403, "{foreign}");
    }
    let own = format!("Origin: http://{}", served.address);
    assert_eq!(served.ask("POST", RUNS, &[json, &own], BACKUP).await.status, 202);
    served.stop().await;
}

#[tokio::test]
async fn an_address_that_others_reach_needs_a_token_to_exist() {
    let world = World::new(picture(now(), NAMES));
    let open = || Settings::new("0.0.0.0:0".parse().unwrap());
    let Err(error) = Server::bind(open(), ports(&world)).await else { panic!("it listens") };
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let (token, record) = backup_api::make_token("ops", Role::Viewer, now(), None).unwrap();
    world.keep_token(&record).await.unwrap();
    let mut served =
        Served::start(world.clone(), Server::bind(open(), ports(&world)).await.unwrap());
    // It is asked over this machine's own address, and that does not count there.
    served.address = ([127, 0, 0, 1], served.address.port()).into();
    assert_eq!(served.get("/api/v1/sources").await.status, 401);
    assert_eq!(served.get("/metrics").await.status, 401);
    assert_eq!(served.get("/health").await.status, 200);
    assert_eq!(served.with(token.expose(), "GET", "/metrics", "").await.status, 200);
    world.revoke_token(&record.id, now()).await.unwrap();
    assert_eq!(served.with(token.expose(), "GET", "/metrics", "").await.status, 401);
    served.stop().await;
}

#[tokio::test]
async fn a_browser_shows_its_token_once() {
    let served = Served::new(loopback()).await;
    let operator = served.token(Role::Operator).await;
    let form = "Content-Type: application/x-www-form-urlencoded";
    let wrong = served.ask("POST", "/login", &[form], "token=bkp_a_b&next=%2Fruns").await;
    assert_eq!(wrong.status, 401);
    let right = format!("token={operator}&next=%2Fruns");
    let heard = served.ask("POST", "/login", &[form], &right).await;
    assert_eq!((heard.status, heard.headers["location"].as_str()), (303, "/runs"));
    let cookie = &heard.headers["set-cookie"];
    assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
    assert!(!cookie.contains(operator.rsplit('_').next().unwrap()), "the token is not in it");
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let page = served.ask("GET", "/sources/orders", &[&cookie], "").await;
    assert!(page.body.contains("Back up now"));
    let started = served.ask("POST", "/sources/orders/start", &[&cookie, form], "job=backup").await;
    assert_eq!(started.status, 303);
    let run = served.ask("GET", &started.headers["location"], &[&cookie], "").await;
    assert!(run.body.contains("token operator") && run.body.contains("Cancel"), "{}", run.body);
    let elsewhere = format!("token={operator}&next=%2F%2Fevil.example");
    let heard = served.ask("POST", "/login", &[form], &elsewhere).await;
    assert_eq!(heard.headers["location"], "/");
    served.ask("POST", "/logout", &[&cookie], "").await;
    let page = served.ask("GET", "/sources/orders", &[&cookie], "").await;
    assert!(!page.body.contains("Back up now"), "only local again");
    served.stop().await;
}

#[tokio::test]
async fn what_changes_or_is_read_or_refused_is_written_down() {
    let served = Served::new(loopback()).await;
    let operator = served.token(Role::Operator).await;
    for _ in 0..3 {
        served.get("/api/v1/snapshots?source=orders").await;
    }
    served.with(&operator, "POST", RUNS, BACKUP).await;
    served.with(&operator, "POST", RUNS, BACKUP).await;
    served.with(&operator, "GET", "/api/v1/tokens", "").await;
    served.get("/metrics").await;
    let entries = served.world.audit(0, 100).await.unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|e| (e.actor.as_str(), e.action.as_str(), e.object.as_str(), e.outcome))
        .collect();
    assert_eq!(
        told,
        [
            ("local", "list_snapshots", "orders", Outcome::Allowed),
            ("token operator", "trigger", "orders", Outcome::Allowed),
            ("token operator", "trigger", "orders", Outcome::Allowed),
            ("token operator", "trigger", "orders", Outcome::Failed),
            ("token operator", "list_tokens", "/api/v1/tokens", Outcome::Denied),
        ]
    );
    assert!(audit::verify(None, &entries).is_ok());
    let check = served.get("/api/v1/audit/check").await.json();
    assert_eq!((check["intact"].as_bool(), check["entries"].as_u64()), (Some(true), Some(6)));
    served.world.forge_audit(|entries| entries[3].outcome = Outcome::Allowed);
    let check = served.get("/api/v1/audit/check").await.json();
    assert_eq!((check["intact"].as_bool(), check["entries"].as_u64()), (Some(false), Some(3)));
    assert!(served.get("/audit").await.body.contains("tampered"));
    served.stop().await;
}

#[tokio::test]
async fn whoever_has_no_token_cannot_fill_the_record() {
    let served = Served::new(loopback()).await;
    let form = "Content-Type: application/x-www-form-urlencoded";
    let mut limited = 0;
    for _ in 0..40 {
        let heard = served.ask("POST", "/login", &[form], "token=bkp_a_b").await;
        limited += usize::from(heard.status == 429);
        served.ask("POST", "/logout", &[], "").await;
        let bad = "Authorization: Bearer bkp_a_b";
        served.ask("GET", "/api/v1/audit", &[bad], "").await;
    }
    assert!(limited > 0, "guessing is slowed down");
    let entries = served.world.audit(0, 1000).await.unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!((entries[0].action.as_str(), entries[0].outcome), ("login", Outcome::Denied));
    let metrics = served.get("/metrics").await.body;
    let refused = "backup_http_requests_total{operation=\"login\",status=\"401\"} ";
    assert!(metrics.contains(refused), "they are counted all the same: {metrics}");
    // Who signs in and out is written down.
    let world = Served::new(loopback()).await;
    let operator = world.token(Role::Operator).await;
    let heard = world.ask("POST", "/login", &[form], &format!("token={operator}")).await;
    let cookie = &heard.headers["set-cookie"];
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    for _ in 0..3 {
        world.ask("POST", "/logout", &[&cookie], "").await;
    }
    let entries = world.world.audit(0, 1000).await.unwrap();
    let told: Vec<_> = entries.iter().map(|e| (e.actor.as_str(), e.action.as_str())).collect();
    assert_eq!(told, [("token operator", "login"), ("token operator", "logout")]);
    served.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn secrets_are_in_no_answer() {
    let served = Served::new(loopback()).await;
    let admin = served.token(Role::Admin).await;
    let made =
        served.with(&admin, "POST", "/api/v1/tokens", "{\"name\":\"x\",\"role\":\"admin\"}").await;
    let made = made.json()["token"].as_str().unwrap().to_owned();
    let hashes: Vec<_> = served.world.tokens().await.unwrap().into_iter().map(|t| t.hash).collect();
    let document = served.get("/api/v1/openapi.json").await.json();
    let mut targets: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(path, methods)| methods.get("get").is_some() && !path.ends_with("/events"))
        .map(|(path, _)| path.replace("{source}", "orders").replace("{run}", "run-catalog-now"))
        .collect();
    targets.extend(
        ["/", "/runs", "/storage", "/audit", "/sources/orders", "/runs/run-catalog-now"]
            .map(String::from),
    );
    for target in targets {
        let heard = served.with(&admin, "GET", &target, "").await;
        for secret in hashes.iter().map(String::as_str).chain([admin.as_str(), made.as_str()]) {
            assert!(!heard.body.contains(secret), "{target}");
        }
    }
    let told = serde_json::to_string(&served.world.audit(0, 1000).await.unwrap()).unwrap();
    assert!(!told.contains(made.rsplit('_').next().unwrap()));
    served.stop().await;
}
