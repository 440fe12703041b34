//! What breaks, when.

use std::time::Duration;

use backup_core::{ErrorKind, ErrorStatus};

/// The calls of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `create`.
    Create,
    /// `get`.
    Get,
    /// `get_range`.
    GetRange,
    /// `stat`.
    Stat,
    /// `list`.
    List,
    /// `delete`.
    Delete,
}

/// One way of breaking. Made by what happens ([`Fault::fail`], [`Fault::corrupt`], …), then
/// narrowed by operation, prefix and count; what is not narrowed always happens.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) effect: Effect,
    operations: Vec<Operation>,
    narrowed: bool,
    prefix: String,
    first: u64,
    last: u64,
    seen: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Effect {
    Fail { kind: ErrorKind, status: ErrorStatus },
    LoseReply,
    Lie,
    Tear { keep: usize },
    Short { missing: usize },
    Corrupt { offset: usize },
    Delay(Duration),
    Hang,
    Full { bytes: u64, used: u64 },
    HideNew { listings: u64 },
}

impl Fault {
    /// The call fails, permanently, without effect.
    #[must_use]
    pub fn fail() -> Self {
        Self::fail_with(ErrorKind::StoreUnavailable, ErrorStatus::Permanent)
    }

    /// The call fails in a way that may pass, without effect.
    #[must_use]
    pub fn fail_temporarily() -> Self {
        Self::fail_with(ErrorKind::StoreUnavailable, ErrorStatus::Temporary)
    }

    /// The call fails with this kind and status, without effect.
    #[must_use]
    pub fn fail_with(kind: ErrorKind, status: ErrorStatus) -> Self {
        Self::new(Effect::Fail { kind, status })
    }

    /// The first `calls` calls pass and everything afterwards fails: the process died.
    #[must_use]
    pub fn crash_after(calls: u64) -> Self {
        Self::fail().from(calls + 1)
    }

    /// The call has its effect, but the caller is told that it failed (temporarily).
    #[must_use]
    pub fn lose_reply() -> Self {
        Self::new(Effect::LoseReply)
    }

    /// A `create` or `delete` reports success and does nothing: a lying store.
    #[must_use]
    pub fn lie() -> Self {
        Self::about(Effect::Lie, &[Operation::Create, Operation::Delete])
    }

    /// A `create` stores only the first `keep` bytes and reports success.
    #[must_use]
    pub fn tear(keep: usize) -> Self {
        Self::about(Effect::Tear { keep }, &[Operation::Create])
    }

    /// A read returns its bytes without the last `missing`, as if that were all.
    #[must_use]
    pub fn short_read(missing: usize) -> Self {
        Self::about(Effect::Short { missing }, &[Operation::Get, Operation::GetRange])
    }

    /// A read returns its bytes with the one at `offset` (modulo their number) flipped.
    #[must_use]
    pub fn corrupt(offset: usize) -> Self {
        Self::about(Effect::Corrupt { offset }, &[Operation::Get, Operation::GetRange])
    }

    /// The call takes this much longer.
    #[must_use]
    pub fn slow(delay: Duration) -> Self {
        Self::new(Effect::Delay(delay))
    }

    /// The call never returns.
    #[must_use]
    pub fn hang() -> Self {
        Self::new(Effect::Hang)
    }

    /// Writes fail with "no space left" once they would exceed `bytes` together; smaller
    /// writes that still fit go through, as on a real disk.
    #[must_use]
    pub fn full_after(bytes: u64) -> Self {
        Self::about(Effect::Full { bytes, used: 0 }, &[Operation::Create])
    }

    /// An object is missing from the first `listings` listings after its creation.
    #[must_use]
    pub fn hide_new(listings: u64) -> Self {
        Self::about(Effect::HideNew { listings }, &[Operation::List])
    }

    /// Narrows to `operation`; several calls add up.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        if !self.narrowed {
            self.operations.clear();
        }
        self.narrowed = true;
        self.operations.push(operation);
        self
    }

    /// Narrows to names that start with `prefix`.
    #[must_use]
    pub fn under(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Narrows to the `n`th matching call, from 1.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self { first: n, last: n, ..self }
    }

    /// Narrows to the first `n` matching calls.
    #[must_use]
    pub fn first(self, n: u64) -> Self {
        Self { first: 1, last: n, ..self }
    }

    /// Narrows to the `n`th matching call and all after it, from 1.
    #[must_use]
    pub fn from(self, n: u64) -> Self {
        Self { first: n, last: u64::MAX, ..self }
    }

    fn new(effect: Effect) -> Self {
        Self::about(effect, &[])
    }

    /// Makes a fault of some operations; none means all.
    fn about(effect: Effect, operations: &[Operation]) -> Self {
        let (operations, prefix) = (operations.to_vec(), String::new());
        Self { effect, operations, narrowed: false, prefix, first: 1, last: u64::MAX, seen: 0 }
    }

    /// Counts a call that this fault is about; returns whether it breaks.
    pub(super) fn strikes(&mut self, operation: Operation, name: &str) -> bool {
        let about = (self.operations.is_empty() || self.operations.contains(&operation))
            && name.starts_with(&self.prefix);
        if !about {
            return false;
        }
        self.seen += 1;
        (self.first..=self.last).contains(&self.seen)
    }
}

impl Operation {
    /// Returns the words used in errors.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Create => "create object",
            Self::Get => "read object",
            Self::GetRange => "read part of object",
            Self::Stat => "stat object",
            Self::List => "list objects",
            Self::Delete => "delete object",
        }
    }
}

/// Marks what a fault does to one call, all matching faults together.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) fail: Option<(ErrorKind, ErrorStatus, &'static str)>,
    pub(super) lose_reply: bool,
    pub(super) lie: bool,
    pub(super) tear: Option<usize>,
    pub(super) short: Option<usize>,
    pub(super) corrupt: Option<usize>,
    pub(super) delay: Duration,
    pub(super) hang: bool,
    pub(super) hide: u64,
}

impl Verdict {
    /// Adds one fault that strikes a call with `bytes` to write.
    pub(super) fn add(&mut self, fault: &mut Fault, bytes: u64) {
        match &mut fault.effect {
            Effect::Fail { kind, status } => {
                self.fail = Some((*kind, *status, "injected fault"));
            }
            Effect::LoseReply => self.lose_reply = true,
            Effect::Lie => self.lie = true,
            Effect::Tear { keep } => self.tear = Some(*keep),
            Effect::Short { missing } => self.short = Some(*missing),
            Effect::Corrupt { offset } => self.corrupt = Some(*offset),
            Effect::Delay(delay) => self.delay += *delay,
            Effect::Hang => self.hang = true,
            Effect::Full { bytes: limit, used } if *used + bytes > *limit => {
                let kind = ErrorKind::StoreUnavailable;
                self.fail = Some((kind, ErrorStatus::Permanent, "no space left on device"));
            }
            Effect::Full { used, .. } => *used += bytes,
            Effect::HideNew { listings } => self.hide = *listings,
        }
    }
}
