//! Discord and Teams against a real socket.

use std::sync::Arc;

use crate::common::{
    Answer, QuickClock, Server, alert, assert_clean, client, delivery, huge, solved, soon,
};
use backup_core::port::{Alert, Notifier};
use backup_notify::{Discord, Teams};
use serde_json::Value;

fn discord(server: &Server) -> Discord {
    let clock = Arc::new(QuickClock::default());
    Discord::new(client(), clock, &server.url(), delivery()).unwrap()
}

fn teams(server: &Server) -> Teams {
    let clock = Arc::new(QuickClock::default());
    Teams::new(client(), clock, &server.url(), delivery()).unwrap()
}

async fn sent<N: Notifier>(make: impl Fn(&Server) -> N, alert: &Alert) -> Value {
    // What the services answer: Discord 204, Teams 202.
    let server = Server::start([Answer::Status(204)]).await;
    soon(make(&server).deliver(alert)).await.unwrap();
    let [request] = server.requests().try_into().unwrap();
    assert_eq!(request.line(), "POST /services/T0/B0/hunter2");
    assert_eq!(request.header("content-type").unwrap(), "application/json");
    assert_clean(&request.body);
    request.json()
}

#[tokio::test]
async fn a_failure_as_discord_gets_it() {
    let value = sent(discord, &alert()).await;
    insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
}

#[tokio::test]
async fn a_failure_as_teams_gets_it() {
    let value = sent(teams, &alert()).await;
    insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
}

#[tokio::test]
async fn the_end_of_a_problem_is_green() {
    let discord = sent(discord, &solved()).await;
    assert_eq!(discord["embeds"][0]["title"], "\\[SOLVED\\] backup of shop succeeded");
    assert_eq!(discord["embeds"][0]["color"], 0x2e_a0_43);
    let teams = sent(teams, &solved()).await;
    assert_eq!(teams["attachments"][0]["content"]["body"][0]["color"], "Good");
}

#[tokio::test]
async fn long_alerts_keep_to_discords_limits() {
    let value = sent(discord, &huge()).await;
    let embed = &value["embeds"][0];
    let length = |text: &Value| text.as_str().unwrap().encode_utf16().count();
    let mut total = length(&embed["title"]) + length(&embed["description"]);
    assert!(length(&embed["title"]) <= 256 && length(&embed["description"]) <= 4_096);
    let fields = embed["fields"].as_array().unwrap();
    assert!(fields.len() <= 25);
    for field in fields {
        assert!((1..=256).contains(&length(&field["name"])));
        assert!((1..=1_024).contains(&length(&field["value"])));
        total += length(&field["name"]) + length(&field["value"]);
    }
    total += length(&embed["footer"]["text"]);
    assert!(total <= 6_000, "{total}");
    assert_eq!(value["allowed_mentions"]["parse"], serde_json::json!([]));
}

#[tokio::test]
async fn long_alerts_keep_to_teams_limit() {
    let value = sent(teams, &huge()).await;
    assert!(value.to_string().len() <= 28_000, "{}", value.to_string().len());
    let last = value["attachments"][0]["content"]["body"].as_array().unwrap().len();
    assert!(last > 10, "a long text is cut, not left out");
}

#[tokio::test]
async fn discords_fractions_of_seconds_are_waited_for() {
    let server = Server::start([Answer::With(429, "retry-after", "1.5")]).await;
    let clock = Arc::new(QuickClock::default());
    let discord = Discord::new(client(), Arc::clone(&clock) as _, &server.url(), delivery());
    soon(discord.unwrap().deliver(&alert())).await.unwrap();
    assert_eq!(clock.waited(), [std::time::Duration::from_millis(1_500)]);
}
