//! Random bytes from the operating system.

use backup_core::{Error, ErrorKind, Result, SetId};

pub(crate) fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut out = [0; N];
    getrandom::fill(&mut out)
        .map_err(|error| Error::new(ErrorKind::Failed, "read random bytes").because(error))?;
    Ok(out)
}

/// Returns the id of a new recovery set.
pub fn set_id() -> Result<SetId> {
    bytes().map(SetId)
}
