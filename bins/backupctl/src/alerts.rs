//! Telling someone before the command ends. Never decides how it ends.

use backup::ops::alert;
use backup_core::Error;
use backup_core::port::Alert;

use crate::session::Session;

/// Tells everyone who wants to hear; says on standard error who could not be told.
pub(crate) async fn tell(session: &Session, alert: &Alert) {
    let destinations = session.announcers();
    for (name, error) in alert::announce(&destinations, alert).await {
        session.screen.warn(&format!("{name} was not told: {error}"));
    }
}

/// Tells that a verb failed.
pub(crate) async fn failed(session: &Session, verb: &str, source: Option<&str>, error: &Error) {
    tell(session, &alert::failure(verb, source, error, session.clock.now())).await;
}
