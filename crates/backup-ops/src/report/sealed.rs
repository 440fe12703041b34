//! A report with its signature, as JSON or inside its HTML page.
//!
//! The signature is over the exact text of the `report` value. That text holds no `<`, so that it
//! can stand in a page as it is.

use backup_core::{Error, ErrorKind, Result};
use backup_repository::{Repository, StatementSignature};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::html::html;
use super::model::Report;
use super::{DOMAIN, SCHEMA};

const OPENING: &str = "<script type=\"application/json\" id=\"signed-report\">";
const CLOSING: &str = "</script>";

#[derive(Serialize, Deserialize)]
struct Signed {
    schema: String,
    report: Box<RawValue>,
    signature: StatementSignature,
}

/// A report whose signature holds.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it says.
    pub report: Report,
    /// Who signed it; whether that root is the right one is for the caller to compare.
    pub signature: StatementSignature,
    /// Whether it came as a page, which shows exactly this.
    pub page: bool,
}

/// Returns the signed report as one line of JSON.
pub fn sign(repository: &Repository, report: &Report) -> Result<String> {
    let write = |error| Error::new(ErrorKind::Failed, "write report").because(error);
    // A `<` can only stand inside a string there, where it may be written as an escape.
    let text = serde_json::to_string(report).map_err(write)?.replace('<', "\\u003c");
    let signature = repository.sign_statement(DOMAIN, &text)?;
    let report = RawValue::from_string(text).map_err(write)?;
    serde_json::to_string(&Signed { schema: SCHEMA.into(), report, signature }).map_err(write)
}

/// Returns the page for a signed report, with the signed text inside.
#[must_use]
pub fn page(report: &Report, signed: &str) -> String {
    html(report, &format!("{OPENING}{signed}{CLOSING}"))
}

/// Reads a report, as JSON or as a page, and checks its signature; of a page also that it shows
/// what was signed and nothing else. `Integrity` when anything was changed.
pub fn check(text: &str) -> Result<Checked> {
    let embedded = text.split_once(OPENING).and_then(|(_, rest)| rest.split_once(CLOSING));
    let signed = embedded.map_or(text.trim(), |(signed, _)| signed);
    let unreadable = |error| {
        Error::new(ErrorKind::Integrity, "read report")
            .because(error)
            .hint("This is no report of this program, or it was changed.")
    };
    let parts: Signed = serde_json::from_str(signed).map_err(unreadable)?;
    if parts.schema != SCHEMA {
        return Err(Error::new(ErrorKind::Unsupported, "read report")
            .with("schema", parts.schema.escape_debug())
            .with("known", SCHEMA));
    }
    parts.signature.check(DOMAIN, parts.report.get()).map_err(|error| {
        error.hint("The report was changed after it was signed; do not rely on it.")
    })?;
    let report: Report = serde_json::from_str(parts.report.get()).map_err(unreadable)?;
    if embedded.is_some() && page(&report, signed) != text {
        return Err(Error::new(ErrorKind::Integrity, "compare page with signed report").hint(
            "The page does not show what was signed, or another version made it; ask for the \
             report as JSON.",
        ));
    }
    Ok(Checked { report, signature: parts.signature, page: embedded.is_some() })
}
