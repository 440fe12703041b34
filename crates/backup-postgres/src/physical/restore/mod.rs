//! Turning a physical snapshot into a data directory.

mod check;
mod files;
mod place;
mod running;
mod settings;
mod target;

pub use target::DirectoryTarget;
