//! Parts that come back wrong: what a repository would never hand out, for proving that whoever
//! comes after it notices.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{PartSource, SegmentInfo};
use backup_core::{Part, PartName, Result};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A bit of a part's byte is flipped.
    Bit {
        /// Which part.
        part: String,
        /// The byte, counted over the whole part.
        at: u64,
        /// The bit, 0 to 7.
        bit: u8,
    },
    /// A segment comes back empty, as if its chunks had been dropped.
    DroppedSegment {
        /// Which part.
        part: String,
        /// The segment's position.
        position: usize,
    },
    /// Lines are missing.
    MissingLines {
        /// Which part.
        part: String,
        /// The first missing line of the first segment.
        first: usize,
        /// How many.
        count: usize,
    },
    /// A line comes twice.
    DoubledLine {
        /// Which part.
        part: String,
        /// Which line of the first segment.
        line: usize,
    },
    /// Two parts come back as each other.
    Swapped {
        /// One.
        one: String,
        /// The other.
        other: String,
    },
    /// Text of a part is replaced by other text, wherever it stands.
    Replaced {
        /// Which part.
        part: String,
        /// What stood there.
        from: String,
        /// What stands there instead.
        to: String,
    },
}

/// Hands out the parts of another source, with one thing wrong.
pub struct WrongParts {
    inner: Arc<dyn PartSource>,
    wrong: Wrong,
}

impl WrongParts {
    /// Wraps `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn PartSource>, wrong: Wrong) -> Self {
        Self { inner, wrong }
    }

    /// The part that is really read where `part` is asked for.
    fn behind(&self, part: &PartName) -> PartName {
        match &self.wrong {
            Wrong::Swapped { one, other } if part.as_str() == one => PartName::new(other.clone()),
            Wrong::Swapped { one, other } if part.as_str() == other => PartName::new(one.clone()),
            _ => part.clone(),
        }
    }

    async fn whole(&self, part: &PartName, position: usize) -> Result<Vec<u8>> {
        let mut stream = self.inner.read(part, position).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    async fn spoilt(&self, part: &PartName, position: usize) -> Result<Vec<u8>> {
        let behind = self.behind(part);
        let mut bytes = self.whole(&behind, position).await?;
        match &self.wrong {
            Wrong::Bit { part: hurt, at, bit } if part.as_str() == hurt => {
                let before: u64 = self
                    .inner
                    .segments(&behind)
                    .await?
                    .iter()
                    .take(position)
                    .map(|segment| segment.bytes)
                    .sum();
                let place = at.checked_sub(before).and_then(|at| usize::try_from(at).ok());
                if let Some(byte) = place.and_then(|place| bytes.get_mut(place)) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Wrong::DroppedSegment { part: hurt, position: lost }
                if part.as_str() == hurt && position == *lost =>
            {
                bytes.clear();
            }
            Wrong::MissingLines { part: hurt, first, count }
                if part.as_str() == hurt && position == 0 =>
            {
                let gone = *first..first.saturating_add(*count);
                bytes = lines(&bytes)
                    .enumerate()
                    .filter(|(number, _)| !gone.contains(number))
                    .flat_map(|(_, line)| line.iter().copied())
                    .collect();
            }
            Wrong::DoubledLine { part: hurt, line } if part.as_str() == hurt && position == 0 => {
                let again = lines(&bytes).nth(*line).map(<[u8]>::to_vec);
                bytes.extend(again.unwrap_or_default());
            }
            Wrong::Replaced { part: hurt, from, to } if part.as_str() == hurt => {
                bytes = String::from_utf8_lossy(&bytes).replace(from, to).into_bytes();
            }
            _ => {}
        }
        Ok(bytes)
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

#[async_trait]
impl PartSource for WrongParts {
    fn parts(&self) -> &[Part] {
        self.inner.parts()
    }

    async fn segments(&self, part: &PartName) -> Result<Vec<SegmentInfo>> {
        self.inner.segments(&self.behind(part)).await
    }

    async fn read(
        &self,
        part: &PartName,
        position: usize,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let bytes = self.spoilt(part, position).await?;
        Ok(stream::iter([Ok(Bytes::from(bytes))]).boxed())
    }
}
