//! What may be read of a database behind Vitess.

use super::ConnectOptions;

/// How a database behind Vitess is read, whose transactions are too short to be one instant of it.
/// Of other servers it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VitessReading {
    /// Not at all.
    #[default]
    Refused,
    /// Not at all, since copies of it are read.
    ByCopy,
    /// As a copy that nobody writes to, which is proved.
    Frozen,
    /// Each piece as it is when it is read: no instant, and never a protection.
    Fuzzy,
}

impl ConnectOptions {
    /// Returns how it is read if it is behind Vitess.
    #[must_use]
    pub fn vitess(&self) -> VitessReading {
        self.vitess
    }

    /// Reads it so if it is behind Vitess.
    #[must_use]
    pub fn with_vitess(mut self, reading: VitessReading) -> Self {
        self.vitess = reading;
        self
    }
}
