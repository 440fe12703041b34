//! From the parts of a snapshot to a tree.

mod chosen;
mod describe;
mod drive;
mod examine;
mod keys;
mod place;
mod scratch;
mod sweep;
mod target;
mod write;

pub use chosen::Chosen;
pub use examine::examine;
pub use scratch::ScratchTree;
pub use target::TreeTarget;
