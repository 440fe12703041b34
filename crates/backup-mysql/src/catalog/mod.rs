//! What the server says of itself and of one database.

pub(crate) mod database;
pub(crate) mod grants;
pub(crate) mod objects;
pub(crate) mod server;
pub(crate) mod storage;
pub(crate) mod tables;
