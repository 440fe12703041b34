//! A key record as JSON, and the bytes that its signature covers.
//!
//! Signed is the *canonical* form: every field but `signature`, names sorted by their bytes, no
//! white space, strings escaped only where JSON demands it. In Python: `json.dumps(fields,
//! sort_keys=True, separators=(",", ":"), ensure_ascii=False)`.

use backup_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use crate::KeyRecord;
use crate::record::FORMAT;

/// A record holds a few kilobytes; a bundle of the most epochs fits.
const MAX_LEN: usize = 512 << 10;

pub(crate) fn encode(record: &KeyRecord) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(record).map_err(|cause| failed().because(cause))?;
    bytes.push(b'\n');
    Ok(bytes)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<KeyRecord> {
    if bytes.len() > MAX_LEN {
        return Err(damaged("it is far too long"));
    }
    let value: Value =
        serde_json::from_slice(bytes).map_err(|cause| damaged("it is not JSON").because(cause))?;
    let format = value.get("format").and_then(Value::as_u64);
    match format {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) if format > u64::from(FORMAT) => {
            return Err(Error::new(ErrorKind::Unsupported, "read key record")
                .with("format", format)
                .hint("A newer version of this program wrote it; use that version."));
        }
        _ => return Err(damaged("it states no known format")),
    }
    let record: KeyRecord = serde_json::from_value(value.clone())
        .map_err(|cause| damaged("a field is missing or malformed").because(cause))?;
    // What is read must be what was signed: no second spelling of a field gets through.
    let again = serde_json::to_value(&record).map_err(|cause| failed().because(cause))?;
    if again != value {
        return Err(damaged("a field is spelled in another way than it is written"));
    }
    Ok(record)
}

/// Returns what the signature covers.
pub(crate) fn signed_bytes(record: &KeyRecord) -> Result<Vec<u8>> {
    let mut value = serde_json::to_value(record).map_err(|cause| failed().because(cause))?;
    if let Value::Object(fields) = &mut value {
        fields.remove("signature");
    }
    let mut out = Vec::new();
    canonical(&value, &mut out)?;
    Ok(out)
}

fn canonical(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Object(fields) => object(fields, out),
        Value::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                canonical(item, out)?;
            }
            out.push(b']');
            Ok(())
        }
        scalar => serde_json::to_writer(out, scalar).map_err(|cause| failed().because(cause)),
    }
}

fn object(fields: &Map<String, Value>, out: &mut Vec<u8>) -> Result<()> {
    let mut names: Vec<&String> = fields.keys().collect();
    names.sort_unstable();
    out.push(b'{');
    for (position, name) in names.into_iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, name).map_err(|cause| failed().because(cause))?;
        out.push(b':');
        canonical(fields.get(name).unwrap_or(&Value::Null), out)?;
    }
    out.push(b'}');
    Ok(())
}

fn damaged(reason: &str) -> Error {
    Error::new(ErrorKind::Integrity, "read key record").with("reason", reason).hint(
        "The key record was damaged in the store; restore it from a copy, or use another key.",
    )
}

fn failed() -> Error {
    Error::new(ErrorKind::Failed, "write key record")
}
