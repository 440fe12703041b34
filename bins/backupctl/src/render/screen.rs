//! Where text goes: data to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use anstream::{AutoStream, ColorChoice};
use backup::ops::document::ErrorDocument;
use backup_core::Error;
use clap::builder::styling::{AnsiColor, Style};
use indicatif::MultiProgress;
use serde::Serialize;

use crate::args::{Color, GlobalArgs};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// The two streams and how much to say on them.
#[derive(Debug)]
pub(crate) struct Screen {
    json: bool,
    quiet: bool,
    verbose: u8,
    color: ColorChoice,
    bars: Option<MultiProgress>,
    lost: OnceLock<io::Error>,
}

/// A warning as JSON, on standard error.
#[derive(Serialize)]
struct WarningDocument<'a> {
    schema: &'static str,
    message: &'a str,
}

impl Screen {
    pub(crate) fn new(global: &GlobalArgs) -> Self {
        let color = match global.color {
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
            Color::Auto => ColorChoice::Auto,
        };
        let bars = io::stderr().is_terminal() && !global.quiet && !global.json;
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            color,
            bars: bars.then(MultiProgress::new),
            lost: OnceLock::new(),
        }
    }

    /// Returns whether documents are wanted instead of text.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Returns how much more to say.
    pub(crate) fn verbose(&self) -> u8 {
        self.verbose
    }

    /// Returns whether anything but errors is to be said on standard error. Documents want
    /// silence there, unless more is asked for.
    pub(crate) fn talks(&self) -> bool {
        !self.quiet && (!self.json || self.verbose > 0)
    }

    /// Returns the bars of a terminal.
    pub(crate) fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// Prints data: to standard output, as it is.
    pub(crate) fn data(&self, text: &str) {
        self.above_bars(|| {
            let mut out = AutoStream::new(io::stdout(), self.color).lock();
            if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                // The first failure is the one to tell.
                let _ = self.lost.set(error);
            }
        });
    }

    /// Demands that everything that was to be printed went out. A reader that has seen enough
    /// (`| head`) is no failure.
    pub(crate) fn demand_printed(&self) -> Result<(), Error> {
        match self.lost.get() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::new(backup_core::ErrorKind::Failed, "write to standard output")
                    .hint("The work itself is done; only what it printed is incomplete.")
                    .because(error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Prints a document as one line.
    pub(crate) fn document<T: Serialize>(&self, document: &T) -> Result<(), Error> {
        let mut line = serde_json::to_string(document).map_err(|error| {
            Error::new(backup_core::ErrorKind::Failed, "write document").because(error)
        })?;
        line.push('\n');
        self.data(&line);
        Ok(())
    }

    /// Says a line to the person, on standard error.
    pub(crate) fn say(&self, line: &str) {
        if self.talks() {
            self.line(line);
        }
    }

    /// Says a line that only somebody who asked for more wants to read.
    pub(crate) fn detail(&self, line: &str) {
        if self.verbose > 0 {
            self.say(line);
        }
    }

    /// Says what is unexpected but not fatal; not silenced.
    pub(crate) fn warn(&self, message: &str) {
        if self.json {
            let document = WarningDocument { schema: "backupctl.warning.v1", message };
            if let Ok(line) = serde_json::to_string(&document) {
                self.line(&line);
            }
        } else {
            self.line(&format!("{WARNING}warning:{WARNING:#} {message}"));
        }
    }

    /// Says what to do next.
    pub(crate) fn hint(&self, sentence: &str) {
        if self.talks() {
            self.line(&format!("  {HINT}hint:{HINT:#} {sentence}"));
        }
    }

    /// Says what failed and what to do about it; never silenced.
    pub(crate) fn error(&self, error: &Error) {
        if self.json {
            if let Ok(line) = serde_json::to_string(&ErrorDocument::new(error)) {
                self.line(&line);
            }
            return;
        }
        self.line(&format!("{ERROR}error:{ERROR:#} {error}"));
        if let Some(hint) = error.remedy() {
            self.line(&format!("  {HINT}hint:{HINT:#} {hint}"));
        }
    }

    pub(crate) fn line(&self, line: &str) {
        self.above_bars(|| {
            let mut err = AutoStream::new(io::stderr(), self.color).lock();
            // There is no better place to report that standard error is gone.
            let _ = writeln!(err, "{line}");
        });
    }

    fn above_bars(&self, write: impl FnOnce()) {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}
