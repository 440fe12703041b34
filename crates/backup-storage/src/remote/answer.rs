//! What a service's refusal means, and what to do about it.

use std::error::Error as StdError;

use backup_core::{Error, ErrorKind, ErrorStatus, ObjectName};

/// What a service said, taken out of opendal's text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// S3's code, such as `NoSuchKey`.
    pub(super) code: Option<String>,
    message: Option<String>,
    request: Option<String>,
    status: Option<String>,
}

impl Answer {
    pub(super) fn of(error: &opendal::Error) -> Self {
        let text = error.message();
        let whole = error.to_string();
        let status = whole
            .split_once("Parts { status: ")
            .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        if !text.starts_with("S3Error {") {
            return Self { status, ..Self::default() };
        }
        let field = |name| quoted_field(text, name).filter(|value| !value.is_empty());
        Self {
            code: field("code: "),
            message: field("message: "),
            request: field("request_id: "),
            status,
        }
    }

    /// Returns it on one line, without what opendal keeps for debugging.
    fn describe(&self, error: &opendal::Error) -> String {
        let mut text = match (&self.code, &self.message) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.clone(),
            _ if error.message().starts_with("S3Error {") => error.kind().to_string(),
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
                | "Busy",
            ),
            _,
        ) => true,
        (_, Some("429" | "499" | "500" | "502" | "503" | "504")) => true,
        _ => error.kind() == opendal::ErrorKind::RateLimited,
    }
}

fn remedy(error: &opendal::Error, answer: &Answer) -> Option<&'static str> {
    let by_code = answer.code.as_deref().and_then(remedy_by_code);
    by_code.or_else(|| match (error.kind(), answer.status.as_deref()) {
        (opendal::ErrorKind::PermissionDenied, _) => remedy_by_code("AccessDenied"),
        (opendal::ErrorKind::RateLimited, _) | (_, Some("503")) => remedy_by_code("SlowDown"),
        (_, Some("301" | "307" | "308")) => remedy_by_code("PermanentRedirect"),
        (_, Some("507")) => remedy_by_code("QuotaExceeded"),
        (opendal::ErrorKind::NotFound, _) => Some(
            "Check that `endpoint` is the S3 endpoint: something answered, but not as an object \
             store does.",
        ),
        _ if mentions_credentials(error) => Some(
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose an AWS profile, or run where \
             the instance or container has a role.",
        ),
        _ if error.message().contains("region is missing") => {
            Some("Add region=… to the URL or set AWS_REGION.")
        }
        _ => None,
    })
}

fn remedy_by_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "NoSuchBucket" => {
            "Create the bucket, or correct its name, the endpoint or the region in the URL."
        }
        "InvalidAccessKeyId" | "InvalidToken" => {
            "The access key id is not known there: check AWS_ACCESS_KEY_ID (and AWS_SESSION_TOKEN), \
             and that the keys belong to this endpoint."
        }
        "SignatureDoesNotMatch" => {
            "The secret key does not fit the access key id: check AWS_SECRET_ACCESS_KEY, and the \
             region in the URL."
        }
        "ExpiredToken" | "TokenRefreshRequired" => {
            "The temporary keys have expired: fetch new ones, or use a role that renews them."
        }
        "RequestTimeTooSkewed" | "RequestExpired" => {
            "The clock of this host is wrong by more than 15 minutes: correct it (for example with \
             NTP)."
        }
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "UnauthorizedAccess" => {
            "Grant these keys s3:GetObject, s3:PutObject, s3:DeleteObject on the prefix and \
             s3:ListBucket on the bucket; without s3:ListBucket an absent object is also reported \
             like this. docs/storage.md has the policy per command."
        }
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => {
            "The bucket is in another region: correct region=… (and endpoint=…) in the URL."
        }
        "SlowDown" | "SlowDownRead" | "SlowDownWrite" | "TooManyRequests"
        | "ServiceUnavailable" | "Busy" => {
            "The store asks for fewer requests: try again later, or allow fewer requests at a time."
        }
        "QuotaExceeded"
        | "XMinioStorageFull"
        | "InsufficientStorage"
        | "XMinioAdminBucketQuotaExceeded"
        | "StorageQuotaExceeded" => {
            "The store is full: free space, raise the quota, or let `prune` remove snapshots that \
             retention no longer needs."
        }
        "InvalidObjectState" => {
            "The object was moved to an archive class: restore it there first, and exclude the \
             repository from lifecycle rules that archive."
        }
        "BadDigest"
        | "InvalidDigest"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch" => {
            "What arrived is not what was sent: check the network path, memory and proxies."
        }
        "InvalidArgument" | "InvalidRequest" | "UnsupportedHeader" | "NotImplemented" => {
            "The service does not know something that was asked of it; try checksum=off in the URL."
        }
        "ObjectLocked" | "ObjectLockConfigurationNotFoundError" => {
            "The object is under retention; it can be deleted once its lock has run out."
        }
        "InvalidStorageClass" => "Correct storage_class=… in the URL.",
        "InvalidBucketName" => "Correct the bucket's name in the URL.",
        _ => return None,
    })
}

fn mentions_credentials(error: &opendal::Error) -> bool {
    let text = error.to_string();
    text.contains("credential")
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
