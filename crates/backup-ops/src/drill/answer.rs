//! Answers, and what they come to.

use backup_core::{Error, ErrorKind};
use backup_verification::Comparison;

use super::DrillReceipt;
use crate::document::QuestionDocument;

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// Not so, and the backup is to blame.
    Failed,
    /// Not known: the place it was restored to is to blame.
    Inconclusive,
    /// There was nothing to ask.
    Skipped,
}

impl Outcome {
    /// Returns the stable word used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::Skipped => "skipped",
        }
    }
}

/// What all answers together say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every question that could be asked was answered well.
    Passed,
    /// The backup is bad: it cannot be restored, or what comes back is not what was there.
    Failed,
    /// Nothing speaks against the backup, but not everything could be asked.
    Inconclusive,
}

impl Verdict {
    /// Returns the stable word used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// Judges by all answers: one failure outweighs everything.
    #[must_use]
    pub fn of(questions: &[QuestionDocument]) -> Self {
        let any = |outcome: Outcome| questions.iter().any(|q| q.outcome == outcome.as_str());
        if any(Outcome::Failed) {
            Self::Failed
        } else if any(Outcome::Inconclusive) || !any(Outcome::Passed) {
            Self::Inconclusive
        } else {
            Self::Passed
        }
    }
}

/// Returns an answer.
pub(super) fn answer(
    name: impl Into<String>,
    outcome: Outcome,
    detail: impl Into<String>,
) -> QuestionDocument {
    QuestionDocument {
        name: name.into(),
        outcome: outcome.as_str().into(),
        detail: detail.into(),
        remedy: None,
        seconds: None,
    }
}

/// Returns the answer that a comparison comes to.
pub(crate) fn of_comparison(name: &str, comparison: Comparison) -> QuestionDocument {
    match comparison {
        Comparison::Equal(what) => answer(name, Outcome::Passed, what),
        Comparison::Different(what) => answer(name, Outcome::Failed, what),
        Comparison::Unknown(why) => answer(name, Outcome::Skipped, why),
        Comparison::Environment(what, remedy) => {
            QuestionDocument { remedy: Some(remedy), ..answer(name, Outcome::Inconclusive, what) }
        }
    }
}

/// Returns the answer that an error comes to, or the error where it says nothing about this
/// drill: somebody asked to stop, or the repository cannot be reached.
pub(super) fn of_error(name: &str, error: Error) -> Result<QuestionDocument, Error> {
    let outcome = match error.kind() {
        ErrorKind::Interrupted
        | ErrorKind::Terminated
        | ErrorKind::StoreUnavailable
        | ErrorKind::WrongKey => return Err(error),
        ErrorKind::Integrity | ErrorKind::Failed | ErrorKind::NotFound => Outcome::Failed,
        _ => Outcome::Inconclusive,
    };
    let remedy = error.remedy().map(str::to_owned);
    Ok(QuestionDocument { remedy, ..answer(name, outcome, error.to_string()) })
}

/// Turns a receipt that does not say "passed" into an error: `Integrity` when the backup is
/// bad, `Failed` when the place was not able to tell.
pub fn demand(receipt: &DrillReceipt) -> Result<(), Error> {
    let (kind, outcome, hint) = match receipt.verdict.as_str() {
        "passed" => return Ok(()),
        "failed" => (
            ErrorKind::Integrity,
            Outcome::Failed,
            "Do not rely on this snapshot. Take a new backup and drill it; drill an older snapshot \
             to find the newest good one.",
        ),
        _ => (
            ErrorKind::Failed,
            Outcome::Inconclusive,
            "Nothing speaks against the backup. Mend the place it was restored to, then drill again.",
        ),
    };
    let first = receipt.questions.iter().find(|question| question.outcome == outcome.as_str());
    let mut error = Error::new(kind, "drill snapshot")
        .with("source", &receipt.source)
        .with("snapshot", receipt.snapshot.get(..8).unwrap_or(&receipt.snapshot))
        .with("verdict", &receipt.verdict);
    let remedy = first.and_then(|question| question.remedy.as_deref());
    if let Some(first) = first {
        error = error.with("question", &first.name).because(first.detail.clone());
    }
    Err(error.hint(remedy.filter(|_| kind == ErrorKind::Failed).unwrap_or(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_outweighs_everything_and_silence_proves_nothing() {
        let of = |outcomes: &[Outcome]| {
            Verdict::of(&outcomes.iter().map(|o| answer("q", *o, "")).collect::<Vec<_>>())
        };
        use Outcome::{Failed, Inconclusive, Passed, Skipped};
        assert_eq!(of(&[Passed, Skipped]), Verdict::Passed);
        assert_eq!(of(&[Passed, Inconclusive, Failed]), Verdict::Failed);
        assert_eq!(of(&[Passed, Inconclusive]), Verdict::Inconclusive);
        assert_eq!(of(&[Skipped]), Verdict::Inconclusive);
        assert_eq!(of(&[]), Verdict::Inconclusive);
    }

    #[test]
    fn errors_blame_the_snapshot_the_place_or_neither() {
        let outcome = |kind| of_error("restore", Error::new(kind, "x")).map(|a| a.outcome);
        assert_eq!(outcome(ErrorKind::Integrity).unwrap(), "failed");
        assert_eq!(outcome(ErrorKind::Failed).unwrap(), "failed");
        assert_eq!(outcome(ErrorKind::Unsupported).unwrap(), "inconclusive");
        assert_eq!(outcome(ErrorKind::Conflict).unwrap(), "inconclusive");
        assert!(outcome(ErrorKind::StoreUnavailable).is_err());
        assert!(outcome(ErrorKind::Interrupted).is_err());
    }
}
