//! SIGTERM and SIGINT stop, a second one ends at once; SIGHUP asks to read the configuration again.

use backup::ops::Interrupter;
use backup_core::ErrorKind;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Listens from now on, on tasks of its own; every SIGHUP is sent.
pub(crate) fn listen(interrupter: Interrupter) -> std::io::Result<mpsc::Receiver<()>> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        for again in [false, true] {
            let kind = tokio::select! {
                _ = interrupts.recv() => ErrorKind::Interrupted,
                _ = terminations.recv() => ErrorKind::Terminated,
            };
            if again {
                std::process::exit(kind.exit_code().into());
            }
            interrupter.request(ErrorKind::Terminated);
        }
    });
    let (reloads, asked) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            // One that waits already stands for this one too.
            let _ = reloads.try_send(());
        }
    });
    Ok(asked)
}
