//! Small servers that misbehave on request.

#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

mod fake_google;
mod fake_s3;

use std::time::Duration;

use backup_core::{ObjectName, Secret};
use backup_storage::{CreateIfAbsent, Credentials, Retry, StoreOptions};

pub(crate) use fake_google::FakeGoogle;
pub(crate) use fake_s3::{Behaviour, FakeS3};

pub(crate) const SECRET_KEY: &str = "top-secret-key-of-the-test";

pub(crate) fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

/// Options that retry quickly and probe nothing.
pub(crate) fn options() -> StoreOptions {
    StoreOptions {
        timeout: Duration::from_secs(5),
        retry: Retry {
            attempts: 4,
            first_delay: Duration::from_millis(5),
            max_delay: Duration::from_millis(20),
        },
        create_if_absent: CreateIfAbsent::Known(true),
        credentials: Some(Credentials {
            access_key_id: "AKIATESTONLY00000001".to_owned(),
            secret_access_key: Secret::new(SECRET_KEY),
            session_token: None,
        }),
        ..StoreOptions::default()
    }
}
