//! One source: what can be brought back, how it went, how fast it would be.

use std::sync::Arc;

use jiff::Timestamp;

use super::fleet::{next, proved};
use super::frame::{self, Page, no_source};
use super::html::{Html, html};
use super::{chart, run, words};
use crate::guard::Caller;
use crate::http::{App, Call, Problem, Refused, Reply, see_other};
use crate::port::{Job, Role, RunFilter};
use crate::view::{Drill, Run, Source, SourceHistory};

pub(crate) async fn page(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let name = call.source().ok_or_else(Problem::not_found)?;
    let fleet = app.facts.fleet().await?;
    let source = fleet.source(name.as_str()).ok_or_else(|| no_source(&name))?;
    let history = app.facts.history(&name).await?;
    let filter =
        RunFilter { source: Some(name.clone()), job: None, state: None, limit: 15, offset: 0 };
    let runs = app.facts.runs(&filter).await?;
    let page = Page {
        title: format!("{name} · backupd"),
        place: "fleet",
        events: Some(format!("?source={name}")),
        caller: &call.caller,
        fleet: &fleet,
        main: main(source, &history, &runs, &call.caller, fleet.at),
    };
    Ok(page.reply())
}

pub(crate) async fn start(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let job = call.form("job").and_then(|job| Job::of(&job));
    let job =
        job.ok_or_else(|| Problem::bad_request("`job` must be backup, verify, drill or prune"))?;
    let run = crate::handle::runs::start(&app, &call, job).await?;
    Ok(see_other(&format!("/runs/{}", run.id)))
}

fn main(
    source: &Source,
    history: &SourceHistory,
    runs: &[Run],
    caller: &Caller,
    now: Timestamp,
) -> Html {
    let mut out = Html::new();
    html!(out; "<div class=\"title\"><h1>" (source.name) "</h1>" [frame::state(source.state)] "<p class=\"quiet\">"
        (source.engine) " on " (source.provider));
    if let Some(location) = &source.location {
        html!(out; " · <code>" (location) "</code>");
    }
    html!(out; "</p>" [buttons(source, caller)] "</div>");
    if !source.reasons.is_empty() {
        html!(out; "<section class=\"now " (source.state.as_str()) "\"><ul>");
        for reason in &source.reasons {
            html!(out; "<li>" [words::sentence(reason)] "</li>");
        }
        html!(out; "</ul></section>");
    }
    let told = |detail: &String| source.reasons.contains(detail);
    let more: Vec<_> = source.conditions.iter().filter(|one| !told(&one.detail)).collect();
    if !more.is_empty() {
        html!(out; "<section class=\"now at_risk\"><b>Worth a look</b><ul>");
        for condition in more {
            html!(out; "<li>" [words::sentence(&condition.detail)] "</li>");
        }
        html!(out; "</ul></section>");
    }
    html!(out; [tiles(source, now)]);
    if !history.windows.is_empty() || !history.snapshots.is_empty() {
        html!(out; "<section class=\"card\"><h2>What can be brought back</h2>" [chart::timeline(history, now)] [gaps(history)]
            "<p class=\"legend quiet\">Solid: every instant. Pale: the instants of snapshots. Taller, red: a gap. "
            "Ticks: snapshots, raised when drilled. Triangles: drills, hollow when failed.</p></section>");
    }
    if !history.sizes.is_empty() {
        html!(out; "<section class=\"card charts\"><h2 class=\"unseen\">Sizes and durations</h2>"
            [chart::bars("Read", &history.sizes, |p| p.read_bytes as f64, |v| words::bytes(v as u64))]
            [chart::bars("Stored", &history.sizes, |p| p.stored_bytes as f64, |v| words::bytes(v as u64))]
            [chart::bars("Duration", &history.sizes, |p| p.seconds, words::length)] "</section>");
    }
    html!(out; [drills(&history.drills, source.rto_budget_seconds, now)] "<section class=\"card\"><h2>Runs</h2>"
        [run::table(runs, now, false)] "<p><a href=\"/runs?source=" (source.name) "\">All runs of this source</a></p></section>"
        [snapshots(history, now)]);
    out
}

fn buttons(source: &Source, caller: &Caller) -> Html {
    let mut out = Html::new();
    if caller.may(Role::Operator) {
        html!(out; "<form class=\"buttons\" method=\"post\" action=\"/sources/" (source.name) "/start\">");
        let mut jobs =
            vec![(Job::Backup, "Back up now"), (Job::Verify, "Verify"), (Job::Drill, "Drill")];
        if source.native.is_some() {
            jobs.insert(1, (Job::Native, "Snapshot at the provider"));
        }
        for (job, label) in jobs {
            html!(out; "<button name=\"job\" id=\"do-" (job.as_str()) "\" value=\"" (job.as_str()) "\">" (label) "</button>");
        }
        html!(out; "</form>");
    }
    out
}

fn tiles(source: &Source, now: Timestamp) -> Html {
    let mut out = Html::new();
    html!(out; "<dl class=\"tiles\"><div><dt>Verified, of RPO</dt><dd>" [proved(source, now)] "</dd></div><div><dt>Recoverable</dt><dd>");
    match &source.window {
        Some(window) => {
            html!(out; [words::instant(window.from)] "<small>to " [words::instant(window.to)] "</small>");
        }
        None => html!(out; "<span class=\"none\">nothing</span>"),
    }
    html!(out; "</dd></div><div><dt>Last drill</dt><dd>");
    match &source.drill {
        Some(drill) => {
            html!(out; (drill.verdict) " " [words::ago(drill.at, now)]);
            if let Some(rto) = drill.rto_seconds {
                html!(out; "<small>RTO " (words::length(rto)) " measured</small>");
            }
        }
        None => html!(out; "<span class=\"none\">never</span>"),
    }
    html!(out; "</dd></div><div><dt>Next backup</dt><dd>" [next(source, now)] "</dd></div><div><dt>Stored</dt><dd>"
        (words::bytes(source.stored_bytes)) "<small>" (words::count(source.snapshots, "snapshot")) "</small></dd></div>");
    if let Some(wal) = &source.wal {
        html!(out; "<div><dt>WAL</dt><dd>" (if wal.streaming { "streaming" } else { "not connected" }) "<small>");
        match wal.lag_seconds {
            Some(lag) => html!(out; "behind " (words::length(lag)) ", "),
            None => html!(out; "lag not known, "),
        }
        html!(out; (words::count(wal.gaps, "gap")) "</small></dd></div>");
    }
    if let Some(native) = &source.native {
        html!(out; "<div><dt>At " (native.provider) "</dt><dd>");
        match native.newest_at {
            Some(at) => html!(out; [words::ago(at, now)]),
            None => html!(out; "<span class=\"none\">no snapshot</span>"),
        }
        html!(out; "<small>" (words::count(native.snapshots, "snapshot")) ", " (native.ours) " by us, read by nobody</small></dd></div>");
    }
    for rate in &source.success {
        html!(out; "<div><dt>Good, " (rate.days) " days</dt><dd>");
        match rate.all {
            0 => html!(out; "<span class=\"none\">none ended</span>"),
            all => {
                html!(out; (format!("{:.1}%", rate.good as f64 / all as f64 * 100.0)) "<small>" (rate.good) " of " (all) "</small>");
            }
        }
        html!(out; "</dd></div>");
    }
    html!(out; "</dl>");
    out
}

fn gaps(history: &SourceHistory) -> Html {
    let mut out = Html::new();
    if !history.gaps.is_empty() {
        html!(out; "<ul class=\"gaps\">");
        for gap in history.gaps.iter().rev().take(10) {
            html!(out; "<li><b>Gap</b> " [words::instant(gap.from)] " – " [words::instant(gap.to)] " · " (gap.reason) "</li>");
        }
        html!(out; "</ul>");
    }
    out
}

fn drills(drills: &[Drill], budget: Option<u64>, now: Timestamp) -> Html {
    let mut out = Html::new();
    html!(out; "<section class=\"card\"><h2>Drills</h2>");
    if drills.is_empty() {
        html!(out; "<p class=\"quiet\">Nobody has restored this yet. Until a drill has, its recovery time is a guess.</p></section>");
        return out;
    }
    html!(out; "<table><thead><tr><th scope=\"col\">When</th><th scope=\"col\">Result</th><th scope=\"col\" class=\"number\">RTO measured</th>"
        "<th scope=\"col\">Phases</th><th scope=\"col\">Snapshot</th></tr></thead><tbody>");
    for drill in drills.iter().take(20) {
        html!(out; "<tr><td data-label=\"When\">");
        match &drill.run {
            Some(run) => {
                html!(out; "<a href=\"/runs/" (run) "\">" [words::ago(drill.at, now)] "</a>");
            }
            None => html!(out; [words::ago(drill.at, now)]),
        }
        html!(out; "</td><td data-label=\"Result\">");
        if drill.passed {
            html!(out; "<span class=\"state protected\"><span aria-hidden=\"true\">●</span> passed</span><small>"
                (words::count(drill.questions, "question")) "</small>");
        } else {
            html!(out; "<span class=\"state unprotected\"><span aria-hidden=\"true\">▲</span> " (drill.verdict) "</span>");
            for failure in drill.failures.iter().take(3) {
                html!(out; "<small class=\"why\">" (failure) "</small>");
            }
        }
        html!(out; "</td><td data-label=\"RTO measured\" class=\"number\">");
        match drill.rto_seconds {
            Some(rto) => {
                html!(out; (words::length(rto)));
                if let Some(budget) = budget {
                    let word = if rto > budget as f64 { "over " } else { "of " };
                    html!(out; "<small>" (word) (words::length(budget as f64)) "</small>");
                }
            }
            None => html!(out; "<span class=\"none\">none</span>"),
        }
        let phases: Vec<_> = drill
            .phases
            .iter()
            .map(|p| format!("{} {}", p.name, words::length(p.seconds)))
            .collect();
        html!(out; "</td><td data-label=\"Phases\"><small>" (phases.join(" · ")) "</small></td><td data-label=\"Snapshot\"><code>"
            (drill.snapshot.chars().take(8).collect::<String>()) "</code></td></tr>");
    }
    html!(out; "</tbody></table></section>");
    out
}

fn snapshots(history: &SourceHistory, now: Timestamp) -> Html {
    let mut out = Html::new();
    if history.snapshots.is_empty() {
        return out;
    }
    html!(out; "<section class=\"card\"><details id=\"snapshots\"><summary>" (words::count(history.snapshots.len() as u64, "snapshot"))
        "</summary><table><thead><tr><th scope=\"col\">Snapshot</th><th scope=\"col\">Of</th><th scope=\"col\">Proved</th>"
        "<th scope=\"col\" class=\"number\">Rows</th><th scope=\"col\" class=\"number\">Read</th><th scope=\"col\" class=\"number\">Stored</th></tr></thead><tbody>");
    for snapshot in history.snapshots.iter().rev() {
        html!(out; "<tr><td data-label=\"Snapshot\"><code>" (snapshot.id.chars().take(8).collect::<String>()) "</code>");
        if snapshot.pinned {
            html!(out; " <small>pinned</small>");
        }
        if snapshot.suspect {
            html!(out; " <span class=\"state at_risk\"><span aria-hidden=\"true\">◐</span> suspect</span>");
        }
        html!(out; "</td><td data-label=\"Of\">" [words::ago(snapshot.started_at, now)] "</td><td data-label=\"Proved\">"
            (snapshot.verified.level) "</td><td data-label=\"Rows\" class=\"number\">" (snapshot.rows)
            "</td><td data-label=\"Read\" class=\"number\">" (words::bytes(snapshot.read_bytes))
            "</td><td data-label=\"Stored\" class=\"number\">" (words::bytes(snapshot.stored_bytes)) "</td></tr>");
    }
    html!(out; "</tbody></table></details></section>");
    out
}
