//! What libraries log, on standard error.

use std::io::{self, Write};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::screen::Screen;

/// Sends log lines to the screen: warnings by default, more with `-v`, only errors with `-q`
/// or `--json`. `RUST_LOG` has the last word.
pub(crate) fn install_log(screen: &Arc<Screen>) {
    let level = match (screen.talks(), screen.verbose()) {
        (false, _) => "error",
        (true, 0) => "warn",
        (true, 1) => "info",
        (true, _) => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // A second subscriber (in tests) is refused, and that is fine.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .without_time()
        .with_ansi(false)
        .with_writer(ToScreen(Arc::clone(screen)))
        .try_init();
}

#[derive(Clone)]
struct ToScreen(Arc<Screen>);

impl<'a> MakeWriter<'a> for ToScreen {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for ToScreen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        for line in text.lines() {
            self.0.line(&super::table::harmless(line));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
