//! Reading whole parts.

use backup_core::port::PartSource;
use backup_core::{Error, ErrorKind, PartName, Result};
use futures::TryStreamExt;

/// Returns a part's bytes; nothing when the snapshot has no such part.
pub(crate) async fn read_part(parts: &dyn PartSource, name: &str) -> Result<Option<Vec<u8>>> {
    if !parts.parts().iter().any(|part| part.name.as_str() == name) {
        return Ok(None);
    }
    let part = PartName::new(name);
    let mut bytes = Vec::new();
    let count = parts.segments(&part).await?.len();
    for position in 0..count {
        let mut stream = parts.read(&part, position).await?;
        while let Some(piece) = stream.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(Some(bytes))
}

/// Parses a part of JSON lines.
pub(crate) fn json_lines<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
    part: &str,
) -> Result<Vec<T>> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            serde_json::from_slice(line).map_err(|error| {
                Error::new(ErrorKind::Integrity, "read part").with("part", part).because(error)
            })
        })
        .collect()
}
