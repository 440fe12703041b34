//! The order in which segments are read: largest table first, one queue for all readers.

use std::cmp::Reverse;
use std::sync::Mutex;

use crate::logical::catalog::tables::Table;
use crate::logical::ranges::{self, Before, Segment};

/// A table with its cut.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) table: Table,
    /// Blocks per segment.
    pub(super) range: u64,
    pub(super) segments: u64,
    pub(super) before: Before,
}

impl Job {
    /// Plans one table.
    pub(super) fn plan(table: Table, before: Before) -> Self {
        let range = ranges::choose_range(table.extent, before);
        let segments = ranges::count(table.extent, range);
        Self { table, range, segments, before }
    }
}

/// Hands out segments; a giant table is read by all readers at once.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: Vec<Job>,
    next: Mutex<(usize, u64)>,
}

impl Queue {
    /// Takes the plans.
    pub(super) fn new(mut jobs: Vec<Job>) -> Self {
        jobs.sort_by_key(|job| (Reverse(job.table.extent.bytes), job.table.oid));
        Self { jobs, next: Mutex::new((0, 0)) }
    }

    /// Returns all plans in reading order.
    pub(super) fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// Returns the next segment: the position of its table, and what to read.
    pub(super) fn next(&self) -> Option<(usize, Segment)> {
        let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (position, segment) = *next;
        let job = self.jobs.get(position)?;
        *next =
            if segment + 1 < job.segments { (position, segment + 1) } else { (position + 1, 0) };
        Some((position, ranges::segment(job.table.extent, job.range, segment)))
    }
}
