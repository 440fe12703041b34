//! Runs: all of them, and one with its log.

use std::sync::Arc;

use jiff::Timestamp;

use super::frame::Page;
use super::html::{Html, html};
use super::words;
use crate::guard::Caller;
use crate::http::{App, Call, Problem, Refused, Reply, see_other};
use crate::port::{Role, RunFilter};
use crate::view::{LogLevel, Run, RunDetail, RunState};

const PAGE: usize = 50;
const LINES: usize = 500;

pub(crate) async fn list(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let fleet = app.facts.fleet().await?;
    let (source, offset) = (call.source(), call.number("offset") as usize);
    let filter =
        RunFilter { source: source.clone(), job: None, state: None, limit: PAGE + 1, offset };
    let runs = app.facts.runs(&filter).await?;
    let mut main = Html::new();
    html!(main; "<div class=\"title\"><h1>Runs</h1>");
    if let Some(source) = &source {
        html!(main; "<p class=\"quiet\">of <a href=\"/sources/" (source) "\">" (source) "</a> · <a href=\"/runs\">all</a></p>");
    }
    html!(main; "</div><section class=\"card\">" [table(runs.get(..PAGE).unwrap_or(&runs), fleet.at, true)]
        [pager(offset, runs.len() > PAGE, source.as_ref().map(ToString::to_string))] "</section>");
    let events = Some(source.map_or_else(String::new, |source| format!("?source={source}")));
    let (title, caller) = ("Runs · backupd".into(), &call.caller);
    Ok(Page { title, place: "runs", events, caller, fleet: &fleet, main }.reply())
}

fn pager(offset: usize, more: bool, source: Option<String>) -> Html {
    let mut out = Html::new();
    let source = source.map_or_else(String::new, |source| format!("&source={source}"));
    html!(out; "<p class=\"pager\">");
    if offset > 0 {
        html!(out; "<a rel=\"prev\" href=\"/runs?offset=" (offset.saturating_sub(PAGE)) (source) "\">Newer</a> ");
    }
    if more {
        html!(out; "<a rel=\"next\" href=\"/runs?offset=" (offset + PAGE) (source) "\">Older</a>");
    }
    html!(out; "</p>");
    out
}

/// Runs in a table.
pub(crate) fn table(runs: &[Run], now: Timestamp, with_source: bool) -> Html {
    let mut out = Html::new();
    if runs.is_empty() {
        html!(out; "<p class=\"quiet\">No run yet.</p>");
        return out;
    }
    html!(out; "<table><thead><tr><th scope=\"col\">Run</th>");
    if with_source {
        html!(out; "<th scope=\"col\">Source</th>");
    }
    html!(out; "<th scope=\"col\">State</th><th scope=\"col\">Began</th><th scope=\"col\" class=\"number\">Took</th>"
        "<th scope=\"col\" class=\"number\">Read</th><th scope=\"col\" class=\"number\">Stored</th><th scope=\"col\">By</th></tr></thead><tbody>");
    for run in runs {
        html!(out; "<tr><td data-label=\"Run\"><a id=\"r-" (run.id) "\" href=\"/runs/" (run.id) "\">" (run.job.label()) "</a></td>");
        if with_source {
            html!(out; "<td data-label=\"Source\">");
            if let Some(source) = &run.source {
                html!(out; "<a href=\"/sources/" (source) "\">" (source) "</a>");
            }
            html!(out; "</td>");
        }
        html!(out; "<td data-label=\"State\">" [state(run.state)]);
        if let Some(error) = &run.error {
            html!(out; "<small class=\"why\">" (error) "</small>");
        } else if let Some(share) = run.share_done().filter(|_| run.state == RunState::Running) {
            html!(out; "<small>" (format!("{:.0}%", share * 100.0)) "</small>");
        }
        html!(out; "</td><td data-label=\"Began\">" [words::ago(run.started_at.unwrap_or(run.queued_at), now)]
            "</td><td data-label=\"Took\" class=\"number\">");
        if let Some(seconds) = run.seconds(now) {
            html!(out; (words::length(seconds)));
        }
        html!(out; "</td><td data-label=\"Read\" class=\"number\">" (words::bytes(run.done_bytes))
            "</td><td data-label=\"Stored\" class=\"number\">" (words::bytes(run.stored_bytes))
            "</td><td data-label=\"By\">" (run.by.as_deref().unwrap_or(run.cause.label())));
        if run.attempt > 1 {
            html!(out; "<small>attempt " (run.attempt) "</small>");
        }
        html!(out; "</td></tr>");
    }
    html!(out; "</tbody></table>");
    out
}

fn state(state: RunState) -> Html {
    let (shape, class) = match state {
        RunState::Queued => ("◌", "never_backed_up"),
        RunState::Running => ("◌", "running"),
        RunState::Succeeded => ("●", "protected"),
        RunState::Suspect => ("◐", "at_risk"),
        RunState::Failed => ("▲", "unprotected"),
        RunState::Cancelled => ("○", "never_backed_up"),
        RunState::Interrupted => ("◐", "at_risk"),
    };
    let mut out = Html::new();
    html!(out; "<span class=\"state " (class) "\"><span aria-hidden=\"true\">" (shape) "</span> " (state.as_str()) "</span>");
    out
}

pub(crate) async fn page(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let id = call.text("run").ok_or_else(Problem::not_found)?;
    let detail = app.facts.run(id).await?;
    let fleet = app.facts.fleet().await?;
    let now = app.clock.now();
    let page = Page {
        title: format!("{} · backupd", detail.run.job.label()),
        place: "runs",
        events: detail.run.state.is_active().then(|| format!("?run={id}")),
        caller: &call.caller,
        fleet: &fleet,
        main: main(&detail, &call.caller, now),
    };
    Ok(page.reply())
}

pub(crate) async fn cancel(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let id = call.text("run").ok_or_else(Problem::not_found)?;
    let run = app.actions.cancel(id).await?;
    Ok(see_other(&format!("/runs/{}", run.id)))
}

fn main(detail: &RunDetail, caller: &Caller, now: Timestamp) -> Html {
    let run = &detail.run;
    let mut out = Html::new();
    html!(out; "<div class=\"title\"><h1>" (run.job.label()));
    if let Some(source) = &run.source {
        html!(out; " of <a href=\"/sources/" (source) "\">" (source) "</a>");
    }
    html!(out; "</h1>" [state(run.state)] "<p class=\"quiet\"><code>" (run.id) "</code> · "
        (run.by.as_deref().unwrap_or(run.cause.label())) " · attempt " (run.attempt) "</p>");
    if run.state.is_active() && caller.may(Role::Operator) {
        html!(out; "<form class=\"buttons\" method=\"post\" action=\"/runs/" (run.id) "/cancel\"><button id=\"cancel\" class=\"danger\">Cancel</button></form>");
    }
    html!(out; "</div>");
    if let Some(error) = &run.error {
        html!(out; "<section class=\"now unprotected\" role=\"alert\"><b>Why</b> " (error));
        if let Some(remedy) = &run.remedy {
            html!(out; "<br><b>What to do</b> " [words::sentence(remedy)]);
        }
        html!(out; "</section>");
    }
    if run.state == RunState::Running {
        progress(&mut out, run, now);
    }
    facts(&mut out, run, now);
    phases(&mut out, detail, now);
    log(&mut out, detail);
    out
}

fn progress(out: &mut Html, run: &Run, now: Timestamp) {
    html!(out; "<section class=\"progress\">");
    let rate = run.seconds(now).filter(|s| *s > 0.0).map(|s| run.done_bytes as f64 / s);
    match (run.share_done(), run.expected_bytes) {
        (Some(share), Some(expected)) => {
            html!(out; "<progress max=\"1000\" value=\"" ((share * 1000.0) as u64) "\" aria-label=\"Bytes read\"></progress><p><b>"
                (format!("{:.0}%", share * 100.0)) "</b> " (words::bytes(run.done_bytes)) " of about " (words::bytes(expected)));
            if let Some(rate) = rate.filter(|rate| *rate > 0.0) {
                let left = expected.saturating_sub(run.done_bytes) as f64 / rate;
                html!(out; " · " (words::bytes(rate as u64)) "/s · about " (words::length(left)) " left");
            }
            html!(out; "</p>");
        }
        _ => {
            html!(out; "<progress aria-label=\"Bytes read\"></progress><p>" (words::bytes(run.done_bytes)) " so far</p>");
        }
    }
    html!(out; "</section>");
}

fn facts(out: &mut Html, run: &Run, now: Timestamp) {
    html!(out; "<dl class=\"tiles\"><div><dt>Began</dt><dd>");
    match run.started_at {
        Some(at) => html!(out; [words::instant(at)] "<small>" [words::ago(at, now)] "</small>"),
        None => html!(out; "<span class=\"none\">waiting</span>"),
    }
    html!(out; "</dd></div><div><dt>" (if run.finished_at.is_some() { "Took" } else { "So far" }) "</dt><dd>");
    match run.seconds(now) {
        Some(seconds) => html!(out; (words::length(seconds))),
        None => html!(out; "<span class=\"none\">–</span>"),
    }
    html!(out; "</dd></div><div><dt>Read</dt><dd>" (words::bytes(run.done_bytes)) "</dd></div><div><dt>Stored</dt><dd>"
        (words::bytes(run.stored_bytes)) "</dd></div>");
    if let Some(snapshot) = &run.snapshot {
        html!(out; "<div><dt>Snapshot</dt><dd><code>" (snapshot.chars().take(8).collect::<String>()) "</code></dd></div>");
    }
    html!(out; "</dl>");
}

fn phases(out: &mut Html, detail: &RunDetail, now: Timestamp) {
    if detail.phases.is_empty() {
        return;
    }
    let took = |phase: &crate::view::Phase| {
        phase.finished_at.unwrap_or(now).duration_since(phase.started_at).as_secs_f64().max(0.0)
    };
    let all: f64 = detail.phases.iter().map(took).sum::<f64>().max(0.001);
    html!(out; "<section class=\"card\"><h2>Phases</h2><table class=\"phases\"><tbody>");
    for phase in &detail.phases {
        let share = took(phase) / all * 100.0;
        html!(out; "<tr><th scope=\"row\">" (phase.name) "</th><td class=\"share\"><svg viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
            "<rect class=\"track\" width=\"100\" height=\"8\"/><rect class=\"fill\" width=\"" (format!("{share:.1}")) "\" height=\"8\"/></svg></td><td class=\"number\">"
            (words::length(took(phase))) "</td><td>" (if phase.finished_at.is_none() && detail.run.state == RunState::Running { "now" } else { "" }) "</td></tr>");
    }
    html!(out; "</tbody></table></section>");
}

fn log(out: &mut Html, detail: &RunDetail) {
    html!(out; "<section class=\"card\"><h2>Log</h2>");
    if detail.log.is_empty() {
        html!(out; "<p class=\"quiet\">Nothing yet.</p></section>");
        return;
    }
    let skipped = detail.log.len().saturating_sub(LINES);
    if skipped > 0 {
        html!(out; "<p class=\"quiet\">" (skipped) " older lines are in <a href=\"/api/v1/runs/" (detail.run.id) "\">the API</a>.</p>");
    }
    html!(out; "<ol class=\"log\" id=\"log\" tabindex=\"0\" aria-label=\"Log\">");
    for line in detail.log.iter().skip(skipped) {
        html!(out; "<li class=\"" (line.level.as_str()) "\"><span class=\"at\">" (line.at.strftime("%H:%M:%S")) "</span> ");
        if line.level != LogLevel::Info {
            html!(out; "<b>" (line.level.as_str()) "</b> ");
        }
        html!(out; (line.message) "</li>");
    }
    html!(out; "</ol></section>");
}
