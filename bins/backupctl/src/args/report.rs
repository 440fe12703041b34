//! Arguments of `report`.

use std::path::PathBuf;

use backup_core::SourceName;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// `report`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ReportArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ReportCommand>,

    /// Begin of the period, as a day (UTC) or an RFC 3339 time (default: 30 days before its end)
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) from: Option<Timestamp>,

    /// End of the period (default: now); as a day, that day is included
    #[arg(long, value_name = "TIME", value_parser = end)]
    pub(crate) to: Option<Timestamp>,

    /// Only these sources; may be repeated (default: all)
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Vec<SourceName>,

    /// The directory of the daemon that remembers runs and who did what (default: where backupd
    /// keeps it, if it ran on this machine)
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// A page that prints well, or JSON (default: html; json with --json)
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<ReportFormat>,

    /// Write to this new file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What to do with a report that exists.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Check that a report is signed, unchanged, and of this repository
    Verify {
        /// The report, HTML or JSON
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The repository's root key, where the repository itself is out of reach
        #[arg(long, value_name = "HEX")]
        root: Option<String>,
    },
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Html,
    Json,
}

fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    day(text).and_then(midnight)
}

fn end(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    day(text)?.tomorrow().map_err(|error| error.to_string()).and_then(midnight)
}

fn day(text: &str) -> Result<Date, String> {
    // A time without a zone would be read as its day.
    let day = (text.len() == 10).then(|| text.parse().ok()).flatten();
    day.ok_or_else(|| "write a day such as 2026-03-31, or a time in RFC 3339".to_owned())
}

fn midnight(day: Date) -> Result<Timestamp, String> {
    day.to_zoned(TimeZone::UTC).map(|at| at.timestamp()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_times_are_exact() {
        assert_eq!(instant("2026-03-31").unwrap().to_string(), "2026-03-31T00:00:00Z");
        assert_eq!(end("2026-03-31").unwrap().to_string(), "2026-04-01T00:00:00Z");
        assert_eq!(end("2026-03-31T05:00:00+02:00").unwrap().to_string(), "2026-03-31T03:00:00Z");
        for bad in ["", "31.3.2026", "yesterday", "2026-03-31T05:00:00"] {
            assert!(instant(bad).is_err() && end(bad).is_err(), "{bad}");
        }
    }
}
