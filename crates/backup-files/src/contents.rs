//! The contents of one file of a snapshot.

use std::sync::Arc;

use backup_core::port::PartSource;
use backup_core::{Error, ErrorKind, PartName, Result};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use crate::entry::{FileData, Place};
use crate::list::DATA;

/// Returns the contents of a file in order, holes as zeros. `Integrity` where the data that the list
/// names is not there, or not that long.
pub async fn contents(
    parts: &Arc<dyn PartSource>,
    data: &FileData,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let name = PartName::new(DATA);
    let segments = parts.segments(&name).await?;
    let position = |address: u64| {
        segments.binary_search_by_key(&address, |segment| segment.address).map_err(|_| {
            Error::new(ErrorKind::Integrity, "find contents of file").with("address", address)
        })
    };
    match data.place {
        Place::Nowhere => Ok(stream::empty().boxed()),
        Place::Bundle { address, offset } => {
            let bytes = whole(&**parts, &name, position(address)?).await?;
            let range = usize::try_from(offset).ok().zip(usize::try_from(offset + data.size).ok());
            let part = range.filter(|(_, end)| *end <= bytes.len());
            let (begin, end) = part.ok_or_else(too_short)?;
            Ok(stream::iter([Ok(bytes.slice(begin..end))]).boxed())
        }
        Place::Pieces { address } => {
            let mut stored = data.pieces().peekable();
            let mut pieces = Vec::new();
            for piece in 0..data.size.div_ceil(crate::entry::PIECE) {
                let at = match stored.next_if_eq(&piece) {
                    Some(_) => Some(position(address + piece)?),
                    None => None,
                };
                pieces.push((at, data.piece_length(piece)));
            }
            let parts = Arc::clone(parts);
            let read = move |(at, length): (Option<usize>, u64)| {
                let (parts, name) = (Arc::clone(&parts), name.clone());
                async move {
                    let Some(at) = at else { return Ok(Bytes::from(vec![0; length as usize])) };
                    let bytes = whole(&*parts, &name, at).await?;
                    if bytes.len() as u64 == length { Ok(bytes) } else { Err(too_short()) }
                }
            };
            Ok(stream::iter(pieces).then(read).boxed())
        }
    }
}

fn too_short() -> Error {
    Error::new(ErrorKind::Integrity, "read contents of file")
        .because("its segment has another length than the list says")
}

/// Reads a segment whole.
pub(crate) async fn whole(
    parts: &dyn PartSource,
    name: &PartName,
    position: usize,
) -> Result<Bytes> {
    let mut stream = parts.read(name, position).await?;
    let Some(first) = stream.try_next().await? else { return Ok(Bytes::new()) };
    let Some(second) = stream.try_next().await? else { return Ok(first) };
    let mut bytes = first.to_vec();
    bytes.extend_from_slice(&second);
    while let Some(piece) = stream.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}
