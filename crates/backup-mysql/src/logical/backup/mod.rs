//! Copying a database out.

mod facts;
mod in_the_way;
mod instant;
mod plan;
mod queue;
mod rows;
mod select;
mod source;

pub use instant::Freeze;
pub use source::LogicalSource;
pub(crate) use source::check_finished;
