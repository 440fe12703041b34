//! Parts that are one stream: written in pieces, told to the observer.

use std::collections::BTreeMap;

use backup_core::port::{Observer, PartSink};
use backup_core::{Event, Layout, PartName, Result};

/// Bytes given to the sink at once.
const PIECE: usize = 1 << 20;

/// Writes a whole part.
pub(super) async fn write(
    sink: &dyn PartSink,
    observer: &dyn Observer,
    name: &str,
    bytes: &[u8],
    attributes: BTreeMap<String, String>,
) -> Result<()> {
    let part = PartName::new(name);
    let length = bytes.len() as u64;
    observer.on_event(&Event::PartStarted { part: part.clone(), expected_bytes: Some(length) });
    sink.begin_part(&part, Layout::Stream).await?;
    let mut segment = sink.segment(&part, 0).await?;
    for piece in bytes.chunks(PIECE) {
        segment.write(piece).await?;
        observer.on_event(&Event::Progress { bytes: piece.len() as u64 });
    }
    segment.finish().await?;
    sink.finish_part(&part, attributes).await?;
    observer.on_event(&Event::PartFinished { part, rows: None, bytes: length });
    Ok(())
}

/// Builds attributes from pairs.
pub(super) fn attributes<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
