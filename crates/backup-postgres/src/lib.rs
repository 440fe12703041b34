//! Speaks PostgreSQL: wire client, logical dump and restore.
