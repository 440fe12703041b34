//! The provider for a PostgreSQL server you run.
