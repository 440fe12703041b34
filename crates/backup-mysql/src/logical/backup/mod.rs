//! Copying a database out.

mod facts;
mod in_the_way;
mod instant;
mod plan;
mod pour;
mod queue;
mod rows;
mod select;
mod source;
mod vitess;

pub use instant::Freeze;
pub use source::LogicalSource;
pub(crate) use source::check_finished;
pub(crate) use vitess::is_internal;
