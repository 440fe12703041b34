//! From the parts of a snapshot to a tree.

mod chosen;
mod drive;
mod examine;
mod place;
mod sweep;
mod target;
mod write;

pub use chosen::Chosen;
pub use examine::{Examined, examine};
pub use target::TreeTarget;
