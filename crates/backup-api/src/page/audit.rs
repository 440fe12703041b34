//! Who asked for what, newest first, and whether the record is whole.

use std::sync::Arc;

use super::frame::Page;
use super::html::{Html, html};
use super::words;
use crate::audit::Outcome;
use crate::http::{App, Call, Refused, Reply};

const PAGE: u64 = 100;

pub(crate) async fn page(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let fleet = app.facts.fleet().await?;
    let check = crate::handle::audit::look(&app).await?;
    let newest = app.ledger.newest_audit().await?.map_or(0, |entry| entry.sequence);
    let end = newest.saturating_sub(call.number("offset"));
    let after = end.saturating_sub(PAGE);
    let mut entries = app.ledger.audit(after, (end - after) as usize).await?;
    entries.reverse();
    let mut main = Html::new();
    html!(main; "<div class=\"title\"><h1>Audit</h1></div>");
    match &check.problem {
        None => {
            html!(main; "<section class=\"now protected\"><b>The record is whole</b> " (words::count(check.entries, "entry").replace("entrys", "entries"))
            ", each sealed by the next. Newest: <code>" (check.newest.as_deref().unwrap_or("none").chars().take(16).collect::<String>())
            "</code>. Write it down elsewhere to notice later if the end was cut off.</section>");
        }
        Some(problem) => {
            html!(main; "<section class=\"now unprotected\" role=\"alert\"><b>The record was tampered with</b> " (problem)
            "; the " (check.entries) " before it are good.</section>");
        }
    }
    html!(main; "<section class=\"card\"><table><thead><tr><th scope=\"col\" class=\"number\">#</th><th scope=\"col\">When</th><th scope=\"col\">Who</th>"
        "<th scope=\"col\">From</th><th scope=\"col\">What</th><th scope=\"col\">Of</th><th scope=\"col\">Outcome</th></tr></thead><tbody>");
    for entry in &entries {
        let (class, shape) = match entry.outcome {
            Outcome::Allowed => ("protected", "●"),
            Outcome::Denied => ("unprotected", "▲"),
            Outcome::Failed => ("at_risk", "◐"),
        };
        html!(main; "<tr><td class=\"number\" data-label=\"#\">" (entry.sequence) "</td><td data-label=\"When\">" [words::instant(entry.at)]
            "</td><td data-label=\"Who\">" (entry.actor) "</td><td data-label=\"From\"><code>" (entry.remote) "</code></td><td data-label=\"What\">"
            (entry.action) "</td><td data-label=\"Of\">" (entry.object) "</td><td data-label=\"Outcome\"><span class=\"state " (class)
            "\"><span aria-hidden=\"true\">" (shape) "</span> " (entry.outcome.as_str()) "</span></td></tr>");
    }
    html!(main; "</tbody></table>");
    if after > 0 {
        html!(main; "<p class=\"pager\"><a rel=\"next\" href=\"/audit?offset=" (call.number("offset") + PAGE) "\">Older</a></p>");
    }
    html!(main; "</section>");
    let (title, caller) = ("Audit · backupd".into(), &call.caller);
    Ok(Page { title, place: "audit", events: None, caller, fleet: &fleet, main }.reply())
}
