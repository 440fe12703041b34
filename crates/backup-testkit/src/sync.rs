//! Locking.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after another test thread panicked while holding the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
