//! What a service's refusal means.

use std::error::Error as StdError;

use backup_core::{Error, ErrorKind, ErrorStatus, ObjectName};

use super::remedy::remedy;

/// What a service said, taken out of opendal's text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// The service's code, such as `NoSuchKey`; Azure's and Google's words for the same as S3's.
    pub(super) code: Option<String>,
    message: Option<String>,
    request: Option<String>,
    pub(super) status: Option<String>,
}

impl Answer {
    pub(super) fn of(error: &opendal::Error) -> Self {
        let text = error.message();
        let whole = error.to_string();
        let status = whole
            .split_once("Parts { status: ")
            .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        let field = |name| quoted_field(text, name).filter(|value| !value.is_empty());
        let said = |code, message| Self { code, message, request: None, status: status.clone() };
        if text.starts_with("S3Error {") {
            let request = field("request_id: ");
            return Self { request, ..said(field("code: "), field("message: ")) };
        }
        if text.starts_with("AzblobError {") {
            let code = field("code: ").map(azure_code);
            return said(code, field("message: "));
        }
        // Google's answers have words where others have codes, and for a download words alone.
        let google = text.starts_with("GcsErrorResponse {");
        let message = if google { field("message: ") } else { first_words(text) };
        let code = message.as_deref().and_then(google_code).map(str::to_owned);
        if google || code.is_some() {
            return said(code.or_else(|| field("reason: ")), message);
        }
        said(None, None)
    }

    /// Returns it on one line, without what opendal keeps for debugging.
    fn describe(&self, error: &opendal::Error) -> String {
        let mut text = match (&self.code, &self.message) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.clone(),
            _ if is_structured(error.message()) => error.kind().to_string(),
            _ => first_words(error.message()).unwrap_or_else(|| error.kind().to_string()),
        };
        if let Some(status) = &self.status {
            text.push_str(&format!(" (HTTP status {status})"));
        }
        if let Some(request) = &self.request {
            text.push_str(&format!(" (request {request})"));
        }
        text
    }
}

/// Names an absence as S3 does.
fn azure_code(code: String) -> String {
    match code.as_str() {
        "BlobNotFound" => "NoSuchKey".to_owned(),
        "ContainerNotFound" => "NoSuchBucket".to_owned(),
        _ => code,
    }
}

/// Names an absence as S3 does.
fn google_code(message: &str) -> Option<&'static str> {
    if message.starts_with("No such object: ") {
        return Some("NoSuchKey");
    }
    message.starts_with("The specified bucket does not exist").then_some("NoSuchBucket")
}

fn is_structured(text: &str) -> bool {
    ["S3Error {", "AzblobError {", "GcsErrorResponse {"].iter().any(|name| text.starts_with(name))
}

/// Converts a failure about an object of somebody's bucket; one that its owner put out of reach is
/// `Unsupported`.
pub(crate) fn refusal(operation: &'static str, error: &opendal::Error) -> Error {
    let converted = convert(operation, None, error);
    match Answer::of(error).code.as_deref() {
        Some("AccessDenied" | "InvalidObjectState" | "BlobArchived") => {
            converted.into_kind(ErrorKind::Unsupported)
        }
        _ => converted,
    }
}

/// Converts a failure; its status says whether trying again can help.
pub(super) fn convert(
    operation: &'static str,
    name: Option<&ObjectName>,
    error: &opendal::Error,
) -> Error {
    let answer = Answer::of(error);
    let mut converted = Error::new(kind_of(error, &answer), operation);
    if let Some(name) = name {
        converted = converted.with("object", name);
    }
    // A failure below HTTP brings its own words and remedy.
    let below = StdError::source(error).and_then(|source| source.downcast_ref::<Error>());
    let (cause, remedy) = match below {
        Some(below) => (below.to_string(), below.remedy().map(str::to_owned)),
        None => (causes(&answer.describe(error), error), remedy(error, &answer).map(str::to_owned)),
    };
    converted = converted.because(cause);
    if let Some(remedy) = remedy {
        converted = converted.hint(remedy);
    }
    let passes = below.map_or_else(
        || error.is_temporary() || passes(error, &answer),
        |below| below.status() == ErrorStatus::Temporary,
    );
    if passes {
        converted = converted.temporary();
    }
    converted
}

fn kind_of(error: &opendal::Error, answer: &Answer) -> ErrorKind {
    match (error.kind(), answer.code.as_deref()) {
        (_, Some("NoSuchKey")) => ErrorKind::NotFound,
        (opendal::ErrorKind::ConditionNotMatch, _) => ErrorKind::Conflict,
        (opendal::ErrorKind::RangeNotSatisfied, _) => ErrorKind::Integrity,
        (opendal::ErrorKind::ConfigInvalid, None) => ErrorKind::ConfigInvalid,
        _ => ErrorKind::StoreUnavailable,
    }
}

/// Returns whether the same request may succeed later. opendal's own answer is lost once its
/// retry layer has marked everything persistent, and it does not know every code.
fn passes(error: &opendal::Error, answer: &Answer) -> bool {
    match (answer.code.as_deref(), answer.status.as_deref()) {
        (
            Some(
                "ConditionalRequestConflict"
                | "OperationAborted"
                | "RequestTimeout"
                | "SlowDown"
                | "SlowDownRead"
                | "SlowDownWrite"
                | "Busy"
                | "ServerBusy"
                | "OperationTimedOut"
                | "InternalError",
            ),
            _,
        ) => true,
        (_, Some("429" | "499" | "500" | "502" | "503" | "504")) => true,
        _ => error.kind() == opendal::ErrorKind::RateLimited,
    }
}

/// Appends the causes below opendal's own message.
fn causes(message: &str, error: &opendal::Error) -> String {
    let mut text = message.to_owned();
    let mut source = StdError::source(error);
    while let Some(cause) = source {
        if let Some(words) = first_words(&cause.to_string())
            && !text.contains(&words)
        {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

/// Returns the first line, shortened: an answer may be a whole web page.
fn first_words(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = line.split(" => source").next().unwrap_or(line);
    Some(line.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// Returns the quoted value after `name` in the text of a `Debug` implementation.
fn quoted_field(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(name)?;
    let mut chars = rest.strip_prefix('"')?.chars();
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => match chars.next()? {
                'n' | 'r' | 't' => value.push(' '),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: opendal::ErrorKind, message: &str) -> Error {
        convert("read object", None, &opendal::Error::new(kind, message))
    }

    #[test]
    fn only_a_named_absence_is_not_found() {
        let kind = opendal::ErrorKind::NotFound;
        let answer = r#"S3Error { code: "NoSuchKey", message: "The \"key\" does not exist.", resource: "", request_id: "R1" }"#;
        let error = said(kind, answer);
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let text = error.to_string();
        assert_eq!(text, r#"read object: NoSuchKey: The "key" does not exist. (request R1)"#);
        let error = said(kind, "<html>404 from a proxy</html>");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
        assert!(error.remedy().unwrap().contains("endpoint"));
    }

    #[test]
    fn refusals_have_remedies() {
        for (code, word) in [
            ("NoSuchBucket", "Create the bucket"),
            ("InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
            ("SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
            ("RequestTimeTooSkewed", "clock"),
            ("AccessDenied", "s3:ListBucket"),
            ("SlowDown", "fewer requests"),
            ("XMinioStorageFull", "full"),
            ("InvalidObjectState", "archive"),
        ] {
            let text = format!(
                r#"S3Error {{ code: "{code}", message: "", resource: "", request_id: "" }}"#
            );
            let error = said(opendal::ErrorKind::Unexpected, &text);
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
            assert!(error.remedy().unwrap().contains(word), "{code}");
        }
    }
}
