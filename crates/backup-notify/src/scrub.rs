//! Takes passwords out of text that leaves the house.
//!
//! Alerts hold no secret by contract; this is the second lock on the door.

use backup_core::port::Alert;
pub(crate) use backup_http::{scrub, without};

/// Returns the alert without passwords, and without what `hide` takes out.
pub(crate) fn cleaned(alert: &Alert, hide: impl Fn(&str) -> String) -> Alert {
    let clean = |text: &str| scrub(&hide(text));
    Alert {
        source: alert.source.as_deref().map(clean),
        title: clean(&alert.title),
        body: clean(&alert.body),
        facts: alert.facts.iter().map(|(name, value)| (name.clone(), clean(value))).collect(),
        ..alert.clone()
    }
}
