//! From a passphrase to a key: Argon2id, version 0x13.

use argon2::{Algorithm, Argon2, Params, Version};
use backup_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::hex;

/// What a key record states about its passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Argon2Params {
    /// Memory in KiB.
    pub(crate) memory_kib: u32,
    /// Passes over the memory.
    pub(crate) passes: u32,
    /// Parallel lanes.
    pub(crate) lanes: u32,
    /// 16 random bytes.
    #[serde(with = "hex")]
    pub(crate) salt: [u8; 16],
}

/// A record is read before anybody vouches for it, so what it may cost is bounded: 1 GiB, and
/// no more work than 16 passes over that.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;
/// Below this a record is not ours, and argon2 itself refuses less than 8 KiB per lane.
const MIN_MEMORY_KIB: u32 = 8 * MAX_LANES;

impl Argon2Params {
    /// What new records use: 64 MiB, 3 passes, 1 lane.
    pub(crate) fn current(entropy: &mut Entropy) -> Self {
        Self { memory_kib: 64 << 10, passes: 3, lanes: 1, salt: entropy.bytes() }
    }

    /// Stretches a passphrase; `Integrity` if the parameters are absurd, before any work.
    pub(crate) fn stretch(&self, passphrase: &str) -> Result<Zeroizing<[u8; 32]>> {
        let allowed = (MIN_MEMORY_KIB..=MAX_MEMORY_KIB).contains(&self.memory_kib)
            && (1..=MAX_PASSES).contains(&self.passes)
            && (1..=MAX_LANES).contains(&self.lanes);
        let refused = || {
            Error::new(ErrorKind::Integrity, "derive key from passphrase")
                .with("memory_kib", self.memory_kib)
                .with("passes", self.passes)
                .with("lanes", self.lanes)
        };
        if !allowed {
            return Err(refused().hint(
                "The key record asks for more work than any record of ours; restore it from a copy.",
            ));
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .map_err(|cause| refused().because(cause))?;
        let mut out = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(trim(passphrase).as_bytes(), &self.salt, out.as_mut_slice())
            .map_err(|cause| {
                Error::new(ErrorKind::Failed, "derive key from passphrase")
                    .with("memory_kib", self.memory_kib)
                    .because(cause)
            })?;
        Ok(out)
    }
}

/// Drops one line ending at the end, as files and pipes add it; nothing else.
pub(crate) fn trim(passphrase: &str) -> &str {
    let trimmed = passphrase.strip_suffix('\n');
    trimmed.map_or(passphrase, |rest| rest.strip_suffix('\r').unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Argon2Params {
        Argon2Params { memory_kib: 128, passes: 1, lanes: 1, salt: [3; 16] }
    }

    #[test]
    fn absurd_parameters_are_refused_before_work() {
        let absurd = [
            Argon2Params { memory_kib: 100 << 20, ..params() },
            Argon2Params { memory_kib: u32::MAX, ..params() },
            Argon2Params { memory_kib: MAX_MEMORY_KIB + 1, ..params() },
            Argon2Params { memory_kib: 0, ..params() },
            Argon2Params { passes: u32::MAX, ..params() },
            Argon2Params { passes: 0, ..params() },
            Argon2Params { lanes: 17, ..params() },
            Argon2Params { lanes: 0, ..params() },
        ];
        for params in absurd {
            assert_eq!(params.stretch("x").unwrap_err().kind(), ErrorKind::Integrity, "{params:?}");
        }
        assert!(params().stretch("x").is_ok());
    }

    #[test]
    fn one_line_ending_is_dropped_and_nothing_else() {
        for (given, used) in [
            ("pass", "pass"),
            ("pass\n", "pass"),
            ("pass\r\n", "pass"),
            ("pass\n\n", "pass\n"),
            (" pass ", " pass "),
            ("pass\r", "pass\r"),
            ("\n", ""),
        ] {
            assert_eq!(trim(given), used, "{given:?}");
        }
        assert_eq!(params().stretch("pass\n").unwrap(), params().stretch("pass").unwrap());
        assert_ne!(params().stretch(" pass").unwrap(), params().stretch("pass").unwrap());
    }
}
