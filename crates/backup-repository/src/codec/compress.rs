//! Plaintext to stored bytes.

use std::sync::Mutex;

use backup_core::{Error, ErrorKind, Result};
use zstd::zstd_safe::{CCtx, CParameter, compress_bound, get_error_name};

use super::Encoding;

/// Above this many bytes of base and chunk together, zstd's long-distance matcher is worth its
/// cost; below, its table only costs speed.
const LONG_DISTANCE: usize = 4 << 20;

/// Compresses chunks at one level; cheap to share, keeps its contexts for reuse.
pub struct Compressor {
    level: i32,
    idle: Mutex<Vec<CCtx<'static>>>,
}

/// A chunk ready to be sealed.
#[derive(Debug)]
pub struct Encoded {
    /// How.
    pub encoding: Encoding,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Compressor {
    /// Creates a compressor for a zstd level.
    #[must_use]
    pub fn new(level: i32) -> Self {
        Self { level, idle: Mutex::new(Vec::new()) }
    }

    /// Returns the chunk on its own: a zstd frame, or raw when that is not larger.
    pub fn whole(&self, plain: &[u8]) -> Result<Encoded> {
        let mut context = match self.idle.lock() {
            Ok(mut idle) => idle.pop(),
            Err(_) => None,
        }
        .map_or_else(|| self.context(), Ok)?;
        let bytes = run(&mut context, plain)?;
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(context);
        }
        if bytes.len() < plain.len() {
            return Ok(Encoded { encoding: Encoding::Zstd, bytes });
        }
        Ok(Encoded { encoding: Encoding::Raw, bytes: plain.to_vec() })
    }

    /// Returns the chunk as a difference to `base`.
    ///
    /// The tables are sized for base and chunk together: with the defaults of the fast levels
    /// the base would be forgotten before it is used.
    pub fn delta(&self, plain: &[u8], base: &[u8]) -> Result<Encoded> {
        let mut context = self.context()?;
        let span = plain.len() + base.len();
        let window = span.next_power_of_two().ilog2().clamp(17, 27);
        let set = |context: &mut CCtx<'_>, parameter| {
            context.set_parameter(parameter).map(|_| ()).map_err(zstd_error)
        };
        set(&mut context, CParameter::WindowLog(window))?;
        // Between states of one place matches are long: an entry for some twenty bytes finds them,
        // and every entry has to be cleared first.
        set(&mut context, CParameter::HashLog(window.saturating_sub(3).clamp(17, 20)))?;
        if span > LONG_DISTANCE {
            set(&mut context, CParameter::EnableLongDistanceMatching(true))?;
        }
        context.ref_prefix(base).map_err(zstd_error)?;
        Ok(Encoded { encoding: Encoding::Delta, bytes: run(&mut context, plain)? })
    }

    fn context<'a>(&self) -> Result<CCtx<'a>> {
        let mut context = CCtx::try_create().ok_or_else(|| {
            Error::new(ErrorKind::Failed, "create compression context")
                .hint("The machine is out of memory; lower --jobs or free memory.")
        })?;
        for parameter in [CParameter::CompressionLevel(self.level), CParameter::ChecksumFlag(false)]
        {
            context.set_parameter(parameter).map_err(zstd_error)?;
        }
        Ok(context)
    }
}

fn run(context: &mut CCtx<'_>, plain: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(compress_bound(plain.len()));
    context.compress2(&mut out, plain).map_err(zstd_error)?;
    Ok(out)
}

fn zstd_error(code: usize) -> Error {
    Error::new(ErrorKind::Failed, "compress chunk").because(get_error_name(code))
}
