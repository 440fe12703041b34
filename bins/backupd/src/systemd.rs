//! Telling the service manager: datagrams to `$NOTIFY_SOCKET`.

use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use backup::daemon::Waiting;
use tokio::sync::watch;

/// Tells the service manager, if there is one; whether it hears is its own business.
pub(crate) fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&path, state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

fn send(path: &std::ffi::OsStr, state: &str) -> std::io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    let bytes = path.as_encoded_bytes();
    // A name in the abstract namespace begins with `@`.
    #[cfg(target_os = "linux")]
    if let Some(name) = bytes.strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        let address = SocketAddr::from_abstract_name(name)?;
        return socket.send_to_addr(state.as_bytes(), &address).map(|_| ());
    }
    let _ = bytes;
    let address = SocketAddr::from_pathname(path)?;
    socket.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

/// Says what is waited for until nothing is; ends with the opening.
pub(crate) async fn hold_on(mut waiting: watch::Receiver<Option<Waiting>>) {
    let mut waited = false;
    while waiting.changed().await.is_ok() {
        let text = waiting.borrow_and_update().as_ref().map(|waiting| waiting.error.clone());
        if let Some(text) = text {
            waited = true;
            notify(&format!("STATUS=waiting for the repository: {}", text.replace('\n', " ")));
        }
    }
    if waited {
        notify("STATUS=running");
    }
}

/// Shows signs of life twice as often as the watchdog wants them; ends at once without one.
pub(crate) async fn beat() {
    let wanted = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse::<u64>().ok());
    let Some(wanted) = wanted.filter(|micros| *micros > 0) else { return };
    loop {
        notify("WATCHDOG=1");
        tokio::time::sleep(Duration::from_micros(wanted / 2)).await;
    }
}
