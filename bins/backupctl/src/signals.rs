//! SIGINT and SIGTERM become a wish to stop; a second one ends the process at once.

use backup::ops::Interrupter;
use backup_core::ErrorKind;

use crate::exit::Contract;

/// Listens from now on, on a task of its own.
#[cfg(unix)]
pub(crate) fn listen(interrupter: Interrupter, contract: Contract) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for again in [false, true] {
            let kind = tokio::select! {
                _ = interrupts.recv() => ErrorKind::Interrupted,
                _ = terminations.recv() => ErrorKind::Terminated,
            };
            if again {
                std::process::exit(contract.failed_code(kind.exit_code()).into());
            }
            interrupter.request(kind);
        }
    });
    Ok(())
}

/// Listens to Ctrl-C from now on, on a task of its own.
#[cfg(not(unix))]
pub(crate) fn listen(interrupter: Interrupter, _contract: Contract) -> std::io::Result<()> {
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            interrupter.request(ErrorKind::Interrupted);
        }
    });
    Ok(())
}
