//! Layers around an adapter, one job each.
//!
//! From the outside in: [`Retrying`] gives its place back while it waits, [`Bounded`] lets a
//! number of attempts run, [`Throttled`] spends bandwidth, [`Counted`] counts what really goes
//! out. [`Proven`] says what was found out about the store.

mod bounded;
mod counted;
mod proven;
mod retrying;
mod throttled;

pub(crate) use bounded::Bounded;
pub(crate) use counted::Counted;
pub(crate) use proven::Proven;
pub(crate) use retrying::{Retrying, tell};
pub(crate) use throttled::Throttled;
