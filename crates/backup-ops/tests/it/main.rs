//! The use cases on memory ports, with everything breaking that can break.

mod backup;
mod faults;
mod fixture;
mod luck;
mod restore;
