//! The contract of platforms, on a real server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::Secret;
use backup_core::port::Platform;
use backup_provider_example::Copying;
use backup_testkit::FakeClock;
use backup_testkit::conformance::{self, PlatformCase};
use backup_testkit::postgres::Cluster;

struct World {
    cluster: Cluster,
    clock: Arc<FakeClock>,
}

#[async_trait]
impl PlatformCase for World {
    fn platform(&self) -> Arc<dyn Platform> {
        let url = self.cluster.url("shop").replace("postgres@", "postgres:hunter2@");
        Arc::new(Copying::new(Secret::new(url)).unwrap())
    }

    fn clock(&self) -> Arc<FakeClock> {
        Arc::clone(&self.clock)
    }

    fn secrets(&self) -> Vec<String> {
        vec!["hunter2".to_owned()]
    }

    async fn nothing_left_of(&self, name: &str) -> bool {
        !self.cluster.sql("postgres", "SELECT datname FROM pg_database").contains(name)
    }
}

#[tokio::test]
async fn the_example_keeps_the_contract_of_platforms() {
    let Some(cluster) = Cluster::start_newest() else { return };
    cluster.sql("postgres", "CREATE DATABASE shop");
    cluster.sql("shop", "CREATE TABLE orders AS SELECT 1 AS id");
    conformance::platform(&World { cluster, clock: Arc::new(FakeClock::default()) }).await;
}
