//! The files of a cluster: what their names say, where their bytes go, how they are listed.

pub(crate) mod address;
pub(crate) mod name;
pub(crate) mod row;
