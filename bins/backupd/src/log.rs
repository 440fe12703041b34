//! What happens, a line each, on standard error.

use tracing_subscriber::EnvFilter;

/// Logs what runs and what fails; more when asked. `RUST_LOG` has the last word.
pub(crate) fn install(verbose: u8) {
    let level = match verbose {
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // systemd's journal has times of its own.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(false)
        .with_writer(std::io::stderr);
    // A second subscriber is refused, and that is fine.
    let _ = if journal { log.without_time().try_init() } else { log.try_init() };
}
