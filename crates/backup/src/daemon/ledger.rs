//! The alert ledger, kept in the catalog.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{
    AlertBook, AlertLedger, Catalog, DeliveryState, LedgerChange, OpenProblem, QueuedAlert,
};
use backup_core::{Error, ErrorKind, Result};

/// One space, so that one write is all or none: `problem KEY`, `delivery NUMBER`, `next`.
const SPACE: &str = "alerts";

/// Ended deliveries that are remembered.
const REMEMBERED: u64 = 500;

#[derive(Debug)]
pub(super) struct CatalogLedger(pub(super) Arc<dyn Catalog>);

#[async_trait]
impl AlertLedger for CatalogLedger {
    async fn load(&self) -> Result<AlertBook> {
        let mut book = AlertBook { next_id: 1, ..AlertBook::default() };
        for (key, value) in self.0.all(SPACE).await? {
            if key.starts_with("problem ") {
                let problem: OpenProblem = read(&value)?;
                book.problems.insert(problem.key.clone(), problem);
            } else if key.starts_with("delivery ") {
                let delivery: QueuedAlert = read(&value)?;
                book.next_id = book.next_id.max(delivery.id + 1);
                if delivery.state == DeliveryState::Waiting {
                    book.waiting.insert(delivery.id, delivery);
                }
            }
        }
        Ok(book)
    }

    async fn apply(&self, changes: &[LedgerChange]) -> Result<()> {
        let mut values = Vec::with_capacity(changes.len());
        for change in changes {
            match change {
                LedgerChange::Problem(problem) => {
                    values.push((format!("problem {}", problem.key), Some(write(problem)?)));
                }
                LedgerChange::Closed(key) => values.push((format!("problem {key}"), None)),
                LedgerChange::Delivery(delivery) => {
                    values.push((name(delivery.id), Some(write(delivery)?)));
                    // Those that ended long ago go; those that wait are younger, or write
                    // themselves again with their next attempt.
                    if let Some(old) = delivery.id.checked_sub(REMEMBERED) {
                        let ended = self.0.get(SPACE, &name(old)).await?;
                        let ended = ended.map(|text| read::<QueuedAlert>(&text)).transpose()?;
                        if ended.is_some_and(|old| old.state != DeliveryState::Waiting) {
                            values.push((name(old), None));
                        }
                    }
                }
            }
        }
        self.0.put(SPACE, &values).await
    }

    async fn recent(&self, limit: usize) -> Result<Vec<QueuedAlert>> {
        let mut deliveries = Vec::new();
        for (key, value) in self.0.all(SPACE).await?.into_iter().rev() {
            if key.starts_with("delivery ") && deliveries.len() < limit {
                deliveries.push(read(&value)?);
            }
        }
        Ok(deliveries)
    }
}

/// Padded, so that names sort as numbers do.
fn name(id: u64) -> String {
    format!("delivery {id:020}")
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::Failed, "read alerts")
            .because(error)
            .hint("The catalog holds what this program did not write; move it away.")
    })
}

fn write(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::Failed, "write alerts").because(error))
}
