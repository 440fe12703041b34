//! TOML and environment into typed settings.
