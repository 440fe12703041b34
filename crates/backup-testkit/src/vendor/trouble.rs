//! What goes wrong between a vendor and its clients.

use std::sync::Mutex;

use super::Ask;
use crate::sync::lock;

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upset {
    /// 429, not executed, with `Retry-After` in seconds where given.
    Throttled(Option<u64>),
    /// 423, not executed: another operation is running.
    Busy,
    /// This status, not executed.
    Fails(u16),
    /// Executed; then this status is the answer.
    FailsAfter(u16),
    /// Executed; then the connection breaks before the answer.
    LosesAnswer,
    /// The connection breaks before anything is executed.
    LosesRequest,
    /// Executed; the answer is a page of HTML with this status.
    Page(u16),
}

impl Upset {
    pub(super) fn executes(self) -> bool {
        matches!(self, Self::FailsAfter(_) | Self::LosesAnswer | Self::Page(_))
    }
}

/// Which requests go wrong, and how.
#[derive(Clone, Debug)]
pub struct Trouble {
    upset: Upset,
    method: Option<String>,
    path: Option<String>,
    query: Option<String>,
    skip: u32,
    times: u32,
}

impl Trouble {
    /// The next request goes wrong.
    #[must_use]
    pub fn new(upset: Upset) -> Self {
        Self { upset, method: None, path: None, query: None, skip: 0, times: 1 }
    }

    /// Only requests of this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only requests whose path holds this.
    #[must_use]
    pub fn path(mut self, part: &str) -> Self {
        self.path = Some(part.to_owned());
        self
    }

    /// Only requests whose GraphQL document holds this.
    #[must_use]
    pub fn query(mut self, part: &str) -> Self {
        self.query = Some(part.to_owned());
        self
    }

    /// So many of them are let through first.
    #[must_use]
    pub fn after(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// So many of them go wrong.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    fn is_about(&self, ask: &Ask) -> bool {
        self.method.as_ref().is_none_or(|method| *method == ask.method)
            && self.path.as_ref().is_none_or(|part| ask.path.contains(part))
            && self.query.as_ref().is_none_or(|part| {
                ask.text("/query").is_some_and(|document| document.contains(part))
            })
    }
}

/// Troubles ahead.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<Vec<Trouble>>);

impl Troubles {
    pub(super) fn add(&self, trouble: Trouble) {
        lock(&self.0).push(trouble);
    }

    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }

    /// Returns what goes wrong with this request.
    pub(super) fn strike(&self, ask: &Ask) -> Option<Upset> {
        let mut all = lock(&self.0);
        let trouble = all.iter_mut().find(|trouble| trouble.is_about(ask))?;
        if trouble.skip > 0 {
            trouble.skip -= 1;
            return None;
        }
        trouble.times -= 1;
        let upset = trouble.upset;
        all.retain(|trouble| trouble.times > 0);
        Some(upset)
    }
}
