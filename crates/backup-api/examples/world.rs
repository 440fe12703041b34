//! Serves a made-up daemon, to look at and to load: `world [SOURCES] [ADDRESS]`.
//!
//! Six sources by default, each in another state; with more, as many as asked for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    dead_code,
    reason = "an example, on the daemon of the tests"
)]

#[path = "../tests/it/world/mod.rs"]
mod world;

use std::sync::Arc;

use backup_api::port::{Ledger, Role};
use backup_api::view::State;
use backup_api::{Ports, Server, Settings};
use backup_core::port::Clock;
use world::{MovedClock, World, picture};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let many: usize = arguments.next().map_or(0, |text| text.parse().expect("a number"));
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8420".into());
    let names: Vec<(String, State)> = if many == 0 {
        [
            ("orders", State::Protected),
            ("billing", State::AtRisk),
            ("catalog", State::Protected),
            ("legacy-crm", State::Unprotected),
            ("ledger", State::Protected),
            ("search-index", State::Running),
            ("uploads", State::Protected),
            ("analytics", State::NeverBackedUp),
        ]
        .map(|(name, state)| (name.to_owned(), state))
        .into()
    } else {
        (0..many)
            .map(|n| {
                let state = if n % 50 == 7 { State::Unprotected } else { State::Protected };
                (format!("database-{n:04}"), state)
            })
            .collect()
    };
    let now = "2026-03-01T10:00:00Z".parse().unwrap();
    let names: Vec<_> = names.iter().map(|(name, state)| (name.as_str(), *state)).collect();
    let world = World::new(picture(now, &names));
    let clock: Arc<dyn Clock> = Arc::new(MovedClock::new(now));
    let (token, record) = backup_api::make_token("oncall", Role::Operator, now, None).unwrap();
    world.keep_token(&record).await.unwrap();
    let mut settings = Settings::new(address.parse().expect("an address"));
    settings.limits.requests_a_second = 1e6;
    settings.limits.burst = 1e6;
    let ports =
        Ports { facts: world.clone(), actions: world.clone(), ledger: world.clone(), clock };
    let server = Server::bind(settings, ports).await.expect("the address is free");
    println!("http://{} with the token {}", server.address().unwrap(), token.expose());
    let end = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    server.serve(end).await;
}
