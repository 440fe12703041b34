//! The program as its users run it: processes, exit codes, real PostgreSQL.

mod alerts;
mod damage;
mod exits;
mod export;
mod happy;
mod keys;
mod listener;
mod object_store;
mod offline;
mod program;
mod retention;
mod schema;
mod signals;
