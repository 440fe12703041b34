//! Turning a physical snapshot into a data directory.

mod check;
mod files;
mod place;
mod running;
mod settings;
mod sparse;
mod target;

pub(crate) use settings::auto_conf;
pub use target::DirectoryTarget;
