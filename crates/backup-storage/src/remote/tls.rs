//! Whom to trust.

pub(super) use backup_http::tls::configuration;
