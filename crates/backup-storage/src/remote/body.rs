//! Bytes on their way, paced and watched.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body::{Body, Frame, SizeHint};
use opendal::Buffer;
use tokio::time::Instant;

use crate::pace::Pace;

/// When something last moved.
#[derive(Debug)]
pub(super) struct Progress {
    started: Instant,
    /// Milliseconds after `started`.
    moved: AtomicU64,
}

impl Progress {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { started: Instant::now(), moved: AtomicU64::new(0) })
    }

    pub(super) fn touch(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.fetch_max(now, Relaxed);
    }

    /// Returns once nothing has moved for `limit`.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let until = self.started + Duration::from_millis(self.moved.load(Relaxed)) + limit;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// A request's body: its length is known, its pieces wait for bandwidth.
pub(super) struct Upload {
    pieces: Pin<Box<dyn Stream<Item = Bytes> + Send + Sync>>,
    left: u64,
}

impl Upload {
    pub(super) fn new(body: Buffer, pace: Pace, progress: Arc<Progress>) -> Self {
        let left = body.len() as u64;
        let size = pace.piece();
        let pieces = stream::unfold(body, move |rest| {
            let (pace, progress) = (pace.clone(), Arc::clone(&progress));
            async move {
                if rest.is_empty() {
                    return None;
                }
                let cut = rest.len().min(size);
                pace.take(cut as u64).await;
                progress.touch();
                Some((rest.slice(..cut).to_bytes(), rest.slice(cut..)))
            }
        });
        Self { pieces: Box::pin(pieces), left }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.pieces.poll_next_unpin(context).map(|piece| {
            let piece = piece?;
            self.left = self.left.saturating_sub(piece.len() as u64);
            Some(Ok(Frame::data(piece)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
