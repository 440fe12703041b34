//! Work that goes on beside the one who starts it.
//!
//! Futures in a set stand still while its owner waits for anything else, and a turn that one of
//! them was given meanwhile (at the store, at the compressor) is lost to everybody, in the end to
//! the owner. Here the owner and the work are polled together.

use std::future::Future;
use std::pin::pin;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Those who do the work, as its owner sees them.
pub(crate) struct Crew<'a, T> {
    start: UnboundedSender<BoxFuture<'a, T>>,
    done: UnboundedReceiver<T>,
    len: usize,
}

impl<'a, T> Crew<'a, T> {
    /// Starts work. How much may go on at once is for the owner to say.
    pub(crate) fn start(&mut self, work: BoxFuture<'a, T>) {
        if self.start.send(work).is_ok() {
            self.len += 1;
        }
    }

    /// Waits for the next result, in the order in which work ends; nothing when all were taken.
    /// Nothing is lost when the wait is given up.
    pub(crate) async fn next(&mut self) -> Option<T> {
        if self.len == 0 {
            return None;
        }
        let done = self.done.recv().await;
        self.len -= 1;
        done
    }

    /// Returns how much was started whose result was not taken.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Runs an owner with a crew of its own, until the owner is done; what goes on then is given up.
pub(crate) async fn with_crew<'a, T, R, F>(owner: impl FnOnce(Crew<'a, T>) -> F) -> R
where
    F: Future<Output = R>,
{
    let (start, mut to_start) = unbounded_channel();
    let (finished, done) = unbounded_channel();
    let mut owner = pin!(owner(Crew { start, done, len: 0 }));
    let work = async move {
        let mut going: FuturesUnordered<BoxFuture<'a, T>> = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(result) = going.next(), if !going.is_empty() => {
                    if finished.send(result).is_err() {
                        return;
                    }
                }
                Some(work) = to_start.recv() => going.push(work),
                else => return,
            }
        }
    };
    tokio::select! {
        biased;
        result = &mut owner => result,
        () = work => owner.await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn work_that_is_given_a_turn_takes_it_while_the_owner_waits_for_one() {
        let turns = Arc::new(Semaphore::new(1));
        let take = |turns: Arc<Semaphore>| async move {
            let _turn = turns.acquire().await;
            tokio::task::yield_now().await;
        };
        let all = with_crew(|mut crew| async move {
            for _ in 0..3 {
                crew.start(take(Arc::clone(&turns)).boxed());
                // Everybody wants the one turn, the owner last.
                tokio::task::yield_now().await;
                take(Arc::clone(&turns)).await;
            }
            let mut count = 0;
            while crew.next().await.is_some() {
                count += 1;
            }
            count
        });
        assert_eq!(tokio::time::timeout(Duration::from_secs(60), all).await, Ok(3));
    }

    #[tokio::test]
    async fn the_owner_may_end_first_or_last() {
        let never = with_crew(|mut crew: Crew<'_, ()>| async move {
            crew.start(std::future::pending().boxed());
            7
        });
        assert_eq!(never.await, 7);
        let last = with_crew(|crew: Crew<'_, ()>| async move {
            drop(crew);
            tokio::task::yield_now().await;
            8
        });
        assert_eq!(last.await, 8);
    }
}
