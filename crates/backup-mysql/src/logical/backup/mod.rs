//! Copying a database out.

mod facts;
mod instant;
mod plan;
mod queue;
mod rows;
mod select;
mod source;

pub use instant::Freeze;
pub use source::LogicalSource;
