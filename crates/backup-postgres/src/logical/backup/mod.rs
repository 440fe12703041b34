//! Reading a database at one instant.

mod facts;
mod globals;
mod instant;
mod large_objects;
mod queue;
mod rows;
pub(crate) mod schema;
mod source;
mod stream;

pub use source::LogicalSource;
