//! Stored bytes to plaintext.

use backup_core::{Error, ErrorKind, Result};
use zstd::zstd_safe::{DCtx, DParameter, get_error_name};

use super::{Encoding, MAX_CHUNK};

/// Returns the plaintext of exactly `length` bytes.
///
/// Fails with `Integrity` when the bytes are not a frame of that length or the base is
/// missing. The caller still compares the chunk's id: a wrong base shows only there.
pub fn decode(
    encoding: Encoding,
    stored: &[u8],
    base: Option<&[u8]>,
    length: usize,
) -> Result<Vec<u8>> {
    let damaged = || Error::new(ErrorKind::Integrity, "decode chunk");
    if length > MAX_CHUNK {
        return Err(damaged().with("length", length));
    }
    if encoding == Encoding::Raw {
        let same = stored.len() == length;
        return if same { Ok(stored.to_vec()) } else { Err(damaged().with("length", length)) };
    }
    let mut context = context()?;
    if encoding == Encoding::Delta {
        let base = base.ok_or_else(|| damaged().with("base", "missing"))?;
        context.ref_prefix(base).map_err(zstd_error)?;
    }
    let mut plain = Vec::with_capacity(length);
    context.decompress(&mut plain, stored).map_err(zstd_error)?;
    if plain.len() != length {
        return Err(damaged().with("length", plain.len()).with("expected", length));
    }
    Ok(plain)
}

/// Fills `into` with the plaintext of bytes that need no base. Fails as [`decode`] does.
pub(crate) fn decode_into(encoding: Encoding, stored: &[u8], into: &mut [u8]) -> Result<()> {
    let damaged = || Error::new(ErrorKind::Integrity, "decode chunk");
    match encoding {
        Encoding::Raw if stored.len() == into.len() => into.copy_from_slice(stored),
        Encoding::Raw => return Err(damaged().with("length", into.len())),
        Encoding::Delta => return Err(damaged().with("base", "missing")),
        Encoding::Zstd => {
            let length = context()?.decompress(into, stored).map_err(zstd_error)?;
            if length != into.len() {
                return Err(damaged().with("length", length).with("expected", into.len()));
            }
        }
    }
    Ok(())
}

fn context<'a>() -> Result<DCtx<'a>> {
    let mut context = DCtx::try_create()
        .ok_or_else(|| Error::new(ErrorKind::Failed, "create decompression context"))?;
    context.set_parameter(DParameter::WindowLogMax(27)).map_err(zstd_error)?;
    Ok(context)
}

fn zstd_error(code: usize) -> Error {
    Error::new(ErrorKind::Integrity, "decode chunk").because(get_error_name(code))
}
