//! Issues on GitHub: one for a problem, closed when it is over.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{Alert, Clock, Notifier, Phase};
use backup_core::{Error, ErrorKind, Result, Secret, Severity};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Client, Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::digest;
use crate::endpoint::{Call, Delivery, Endpoint, Failure, json_headers};
use crate::scrub::cleaned;
use crate::text::{cut, cut_bytes, headline};

const PAGE: usize = 100;
/// Open issues looked through, the newest activity first: a thousand.
const PAGES: usize = 10;
const TITLE: usize = 250;
/// GitHub takes 65,536 characters.
const BODY_BYTES: usize = 60_000;

/// Opens an issue for a problem, comments on the one that is open, and closes it when the
/// problem is over.
///
/// Issues and comments carry an invisible marker, by which they are found again: a request whose
/// answer was lost is not made twice. Good news that solves no problem is not told.
#[derive(Debug)]
pub struct Github {
    endpoint: Endpoint,
    issues: Url,
    token: Secret,
}

#[derive(Debug, Deserialize)]
struct Post {
    #[serde(default)]
    number: u64,
    body: Option<String>,
    /// Pull requests are listed among the issues.
    pull_request: Option<Value>,
}

impl Github {
    /// Where the API is, unless configured otherwise.
    pub const URL: &str = "https://api.github.com";

    /// Creates the notifier for a repository (`owner/name`), with a token that may read and
    /// write its issues. Fails with `ConfigInvalid` when one of them cannot be used. Sends
    /// nothing yet.
    pub fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        url: &Secret,
        repository: &str,
        token: Secret,
        delivery: Delivery,
    ) -> Result<Self> {
        let endpoint =
            Endpoint::new(client, clock, url, delivery, |_| format!("github {repository}"))?
                .hiding(&token);
        let unusable = |reason: &'static str, hint: &'static str| {
            Error::new(ErrorKind::ConfigInvalid, "use GitHub repository").because(reason).hint(hint)
        };
        let parts: Vec<&str> = repository.split('/').collect();
        let named = |part: &&str| {
            !matches!(*part, "" | "." | "..")
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if parts.len() != 2 || !parts.iter().all(named) {
            return Err(unusable("it is not of the form owner/name", "Write owner/name."));
        }
        if token.expose().trim().is_empty() || authorization(&token).is_none() {
            return Err(unusable(
                "its token is empty or not a token",
                "Set a token with access to issues.",
            ));
        }
        let mut issues = endpoint.url().clone();
        issues
            .path_segments_mut()
            .map_err(|()| unusable("the URL has no path", "Write https://host."))?
            .pop_if_empty()
            .extend(["repos", parts[0], parts[1], "issues"]);
        Ok(Self { endpoint, issues, token })
    }

    async fn request(
        &self,
        method: Method,
        url: Url,
        body: Option<Value>,
    ) -> Result<Vec<u8>, Failure> {
        let mut headers = json_headers();
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        headers.insert(
            HeaderName::from_static("x-github-api-version"),
            HeaderValue::from_static("2022-11-28"),
        );
        headers.extend(authorization(&self.token).map(|value| (AUTHORIZATION, value)));
        let body = body.map(|body| body.to_string().into_bytes());
        self.endpoint.call(Call { method, url, headers, body }).await
    }

    async fn list(&self, url: Url) -> Result<Vec<Post>, Failure> {
        let answer = self.request(Method::GET, url, None).await?;
        serde_json::from_slice(&answer).map_err(|error| {
            self.endpoint.error().because(error).hint("Is this GitHub's API?").into()
        })
    }

    /// Finds the open issue of a problem.
    async fn find(&self, marker: &str) -> Result<Option<Post>, Failure> {
        for page in 1..=PAGES {
            let mut url = self.issues.clone();
            url.query_pairs_mut()
                .append_pair("state", "open")
                .append_pair("sort", "updated")
                .append_pair("direction", "desc")
                .append_pair("per_page", &PAGE.to_string())
                .append_pair("page", &page.to_string());
            let posts = self.list(url).await?;
            let last = posts.len() < PAGE;
            if let Some(post) = posts.into_iter().find(|post| post.is_issue() && post.bears(marker))
            {
                return Ok(Some(post));
            }
            if last {
                break;
            }
        }
        Ok(None)
    }

    /// Returns whether the issue has a comment with this marker since the alert was made.
    async fn has_comment(&self, issue: u64, alert: &Alert, marker: &str) -> Result<bool, Failure> {
        for page in 1..=PAGES {
            let mut url = self.below(issue, Some("comments"));
            url.query_pairs_mut()
                // Clocks differ; an hour is more than enough.
                .append_pair("since", &format!("{:.0}", hour_before(alert)))
                .append_pair("per_page", &PAGE.to_string())
                .append_pair("page", &page.to_string());
            let comments = self.list(url).await?;
            if comments.iter().any(|comment| comment.bears(marker)) {
                return Ok(true);
            }
            if comments.len() < PAGE {
                break;
            }
        }
        Ok(false)
    }

    fn below(&self, issue: u64, what: Option<&str>) -> Url {
        let mut url = self.issues.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(&issue.to_string());
            segments.extend(what);
        }
        url
    }

    /// One attempt; begins with looking, so that trying again repeats nothing.
    async fn attempt(&self, alert: &Alert) -> Result<(), Failure> {
        let problem =
            alert.problem.clone().unwrap_or_else(|| format!("{}/{}", alert.event, alert.at));
        let about = format!("<!-- backup-problem: {} -->", digest(problem.as_bytes()));
        let this = format!("<!-- backup-alert: {} -->", alert_digest(alert));
        let body = || format!("{}\n\n{about}\n{this}", markdown(alert));
        let Some(issue) = self.find(&about).await? else {
            if !alert.solves() {
                let issue = json!({ "title": cut(&headline(alert), TITLE), "body": body() });
                self.request(Method::POST, self.issues.clone(), Some(issue)).await?;
            }
            return Ok(());
        };
        if !issue.bears(&this) && !self.has_comment(issue.number, alert, &this).await? {
            let url = self.below(issue.number, Some("comments"));
            self.request(Method::POST, url, Some(json!({ "body": body() }))).await?;
        }
        if alert.solves() {
            let closed = json!({ "state": "closed", "state_reason": "completed" });
            self.request(Method::PATCH, self.below(issue.number, None), Some(closed)).await?;
        }
        Ok(())
    }
}

impl Post {
    fn bears(&self, marker: &str) -> bool {
        self.body.as_deref().is_some_and(|body| body.contains(marker))
    }

    fn is_issue(&self) -> bool {
        self.pull_request.is_none()
    }
}

#[async_trait]
impl Notifier for Github {
    fn name(&self) -> String {
        self.endpoint.name().to_owned()
    }

    async fn deliver(&self, alert: &Alert) -> Result<()> {
        let news = alert.severity == Severity::Info && !alert.solves();
        if news || alert.phase == Phase::Started {
            return Ok(());
        }
        let alert = cleaned(alert, |text| self.endpoint.hide(text));
        self.endpoint.retry(|| self.attempt(&alert)).await
    }
}

fn authorization(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose().trim())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn alert_digest(alert: &Alert) -> String {
    let parts = (&alert.event, alert.phase, &alert.problem, &alert.title, alert.at);
    digest(format!("{parts:?}").as_bytes())
}

fn hour_before(alert: &Alert) -> jiff::Timestamp {
    let hour = jiff::SignedDuration::from_hours(1);
    alert.at.saturating_sub(hour).unwrap_or(alert.at)
}

/// Texts go into code blocks, where nothing is a mention, a link or markup.
fn markdown(alert: &Alert) -> String {
    let mut text = format!("**{}**", alert.event);
    if let Some(source) = &alert.source {
        text.push_str(&format!(" · source `{}`", source.replace('`', "'")));
    }
    text.push_str(&format!(" · {:.0}\n\n", alert.at));
    text.push_str(&fenced(&format!("{}\n\n{}", headline(alert), alert.body)));
    if !alert.facts.is_empty() {
        let facts: Vec<String> =
            alert.facts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        text.push_str(&format!("\n\n{}", fenced(&cut_bytes(&facts.join("\n"), 4_000))));
    }
    text
}

/// A fence longer than any in the text.
fn fenced(text: &str) -> String {
    let text = cut_bytes(text.trim(), BODY_BYTES - 8_000);
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}text\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_cannot_be_closed_from_inside() {
        assert_eq!(fenced("a"), "```text\na\n```");
        assert_eq!(fenced("```\n@all"), "````text\n```\n@all\n````");
    }
}
