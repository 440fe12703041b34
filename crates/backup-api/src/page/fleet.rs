//! Every source in one table.

use std::cmp::Reverse;
use std::sync::Arc;

use backup_core::SourceName;
use http::HeaderValue;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::frame::{self, Page};
use super::html::{Html, html};
use super::{chart, words};
use crate::handle::sources::find;
use crate::http::{App, Call, Refused, Reply, kept};
use crate::port::Job;
use crate::view::{Fleet, Group, Source, State};

/// Sources a page shows.
const PAGE: usize = 50;

pub(crate) async fn page(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let fleet = app.facts.fleet().await?;
    let asked = Asked::of(&call);
    let tag = tag_of(&fleet, &call, &asked);
    if let Some(reply) = kept::unchanged(&call.headers, &tag) {
        return Ok(reply);
    }
    let page = Page {
        title: title(&fleet),
        place: "fleet",
        events: Some(String::new()),
        caller: &call.caller,
        fleet: &fleet,
        main: main(&fleet, find(&fleet, &call), &asked),
    };
    let mut reply = page.reply();
    kept::mark(&mut reply, tag);
    Ok(reply)
}

/// What somebody looks for, and how far they have turned the pages.
struct Asked {
    name: String,
    state: String,
    offset: usize,
}

impl Asked {
    fn of(call: &Call) -> Self {
        let text = |name| call.text(name).unwrap_or_default().to_owned();
        let offset = call.number("offset") as usize;
        Self { name: text("q"), state: text("state"), offset }
    }

    fn is_all(&self) -> bool {
        self.name.is_empty() && self.state.is_empty()
    }

    /// The address of the page that begins there.
    fn turned_to(&self, offset: usize) -> String {
        let name = utf8_percent_encode(&self.name, NON_ALPHANUMERIC);
        format!("/?q={name}&state={}&offset={offset}", self.state)
    }
}

/// A page is another one for another reader, another question and another picture.
fn tag_of(fleet: &Fleet, call: &Call, asked: &Asked) -> HeaderValue {
    let caller = &call.caller;
    let role = caller.role.map_or("", crate::port::Role::as_str);
    kept::tag(&[
        fleet.at.to_string().as_bytes(),
        fleet.program.started_at.to_string().as_bytes(),
        fleet.program.version.as_bytes(),
        caller.name.as_bytes(),
        role.as_bytes(),
        &[u8::from(caller.session)],
        asked.name.as_bytes(),
        asked.state.as_bytes(),
        &asked.offset.to_be_bytes(),
    ])
}

fn title(fleet: &Fleet) -> String {
    let bad = fleet.sources.iter().filter(|source| source.state != State::Protected).count();
    let bad = bad + fleet.groups.iter().filter(|group| group.state != State::Protected).count();
    match bad {
        0 => "Fleet · backupd".into(),
        bad => format!("({bad}) Fleet · backupd"),
    }
}

fn main(fleet: &Fleet, mut sources: Vec<&Source>, asked: &Asked) -> Html {
    let mut out = Html::new();
    html!(out; "<h1 class=\"unseen\">Fleet</h1>" [now(fleet)] [problems(fleet)]);
    if fleet.sources.is_empty() {
        html!(out; "<section class=\"card narrow\"><h2>No sources yet</h2><p>Name one in <code>backup.toml</code> and reload; "
            "it appears here with its first run.</p></section>");
        return out;
    }
    if fleet.sources.len() > PAGE || !asked.is_all() {
        html!(out; [search(asked)]);
    }
    html!(out; "<table class=\"fleet\"><caption class=\"unseen\">Sources, those that need attention first</caption><thead><tr>"
        "<th scope=\"col\">Source</th><th scope=\"col\">State</th><th scope=\"col\">Verified <span class=\"quiet\">of RPO</span></th>"
        "<th scope=\"col\">Recoverable</th><th scope=\"col\">Size</th><th scope=\"col\" class=\"number\">Stored</th>"
        "<th scope=\"col\">Next backup</th><th scope=\"col\">30 days</th></tr></thead><tbody>");
    sources.sort_by_key(|source| (Reverse(urgency(source.state)), &source.name));
    for source in sources.iter().skip(asked.offset).take(PAGE) {
        row(&mut out, source, fleet.at);
    }
    html!(out; "</tbody></table>");
    if sources.is_empty() {
        html!(out; "<p class=\"quiet\">No source is like that. <a href=\"/\">Show all</a></p>");
    }
    html!(out; [pager(asked, sources.len())] [groups(fleet)] [legend()]);
    out
}

/// Databases and their files as recovery sets.
fn groups(fleet: &Fleet) -> Html {
    let mut out = Html::new();
    if fleet.groups.is_empty() {
        return out;
    }
    html!(out; "<table class=\"fleet\" id=\"groups\"><caption>Recovery sets</caption><thead><tr><th scope=\"col\">Group</th>"
        "<th scope=\"col\">State</th><th scope=\"col\">Newest complete set</th><th scope=\"col\">Last drill that passed</th>"
        "<th scope=\"col\" class=\"number\">Sets</th><th scope=\"col\">Next backup</th></tr></thead><tbody>");
    for group in &fleet.groups {
        let members: Vec<&str> = group.members.iter().map(SourceName::as_str).collect();
        html!(out; "<tr><th scope=\"row\">" (group.name) "<small>" (members.join(", ")) "</small></th><td data-label=\"State\">"
            [frame::state(group.state)]);
        if let Some(reason) = group.reasons.first() {
            html!(out; "<small class=\"why\">" [words::sentence(reason)] "</small>");
        }
        html!(out; "</td><td data-label=\"Newest complete set\">" [when(group.newest_at, fleet.at)]
            "</td><td data-label=\"Last drill that passed\">" [when(group.drill_passed_at, fleet.at)]
            "</td><td data-label=\"Sets\" class=\"number\">" (group.complete));
        if group.incomplete > 0 {
            html!(out; "<small>" (group.incomplete) " incomplete</small>");
        }
        html!(out; "</td><td data-label=\"Next backup\">" [when(group.next_at, fleet.at)] "</td></tr>");
    }
    html!(out; "</tbody></table>");
    out
}

fn when(at: Option<Timestamp>, now: Timestamp) -> Html {
    let mut out = Html::new();
    match at {
        Some(at) => html!(out; [words::ago(at, now)]),
        None => html!(out; "<span class=\"none\">none</span>"),
    }
    out
}

/// Looking for sources: where there are more than a page holds.
fn search(asked: &Asked) -> Html {
    let mut out = Html::new();
    html!(out; "<form class=\"search\" method=\"get\" action=\"/\" role=\"search\"><label>Source <input type=\"search\" id=\"q\" name=\"q\" maxlength=\"64\" value=\""
        (asked.name) "\"></label> <label>State <select id=\"state\" name=\"state\">");
    html!(out; "<option value=\"\">any</option>");
    for state in State::ALL {
        html!(out; "<option value=\"" (state.as_str()) "\"");
        if state.as_str() == asked.state {
            html!(out; " selected");
        }
        html!(out; ">" (state.label()) "</option>");
    }
    html!(out; "</select></label> <button id=\"find\">Find</button>");
    if !asked.is_all() {
        html!(out; " <a href=\"/\">Show all</a>");
    }
    html!(out; "</form>");
    out
}

fn pager(asked: &Asked, all: usize) -> Html {
    let mut out = Html::new();
    let offset = asked.offset;
    if all <= PAGE && offset == 0 {
        return out;
    }
    let end = (offset + PAGE).min(all);
    html!(out; "<p class=\"pager\">");
    if offset > 0 {
        html!(out; "<a rel=\"prev\" href=\"" (asked.turned_to(offset.saturating_sub(PAGE))) "\">Before</a> ");
    }
    html!(out; "<span>" ((offset + 1).min(end)) " to " (end) " of " (all) "</span>");
    if end < all {
        html!(out; " <a rel=\"next\" href=\"" (asked.turned_to(end)) "\">After</a>");
    }
    html!(out; "</p>");
    out
}

/// What had a snapshot and lost its protection comes before what never had one.
fn urgency(state: State) -> u8 {
    match state {
        State::Protected => 0,
        State::Running => 1,
        State::AtRisk => 2,
        State::NeverBackedUp => 3,
        State::Unprotected => 4,
    }
}

/// One line: what to do first, or that there is nothing to do.
fn now(fleet: &Fleet) -> Html {
    let mut out = Html::new();
    let worst = fleet
        .sources
        .iter()
        .filter(|source| !matches!(source.state, State::Protected | State::Running))
        .min_by_key(|source| (Reverse(urgency(source.state)), &source.name));
    html!(out; "<section class=\"now ");
    match worst {
        Some(source) => {
            html!(out; (source.state.as_str()) "\"><b>Do this now</b> <a href=\"/sources/" (source.name) "\">" (source.name) "</a> ");
            match source.reasons.first() {
                Some(reason) => html!(out; [words::sentence(reason)]),
                None => html!(out; "is " (source.state.label()) "."),
            }
        }
        None if fleet.sources.is_empty() => {
            html!(out; "\"><b>Nothing is protected</b> No source is configured.");
        }
        None if fleet.groups.iter().any(|group| group.state != State::Protected) => {
            let bad = |group: &&Group| group.state != State::Protected;
            if let Some(group) = fleet.groups.iter().find(bad) {
                html!(out; (group.state.as_str()) "\"><b>Do this now</b> <a href=\"#groups\">" (group.name) "</a> ");
                match group.reasons.first() {
                    Some(reason) => html!(out; [words::sentence(reason)]),
                    None => html!(out; "is " (group.state.label()) "."),
                }
            }
        }
        None => {
            html!(out; "protected\"><b>Nothing to do</b> Every source has a proved snapshot inside its RPO.");
        }
    }
    html!(out; "<span class=\"counts\">");
    for state in State::ALL {
        let count = fleet.sources.iter().filter(|source| source.state == state).count();
        if count > 0 {
            html!(out; "<span>" [frame::state(state)] " " (count) "</span>");
        }
    }
    html!(out; "</span></section>");
    out
}

fn problems(fleet: &Fleet) -> Html {
    let mut out = Html::new();
    let mut lines: Vec<String> = fleet.program.problems.clone();
    if !fleet.program.enabled {
        lines.insert(0, "Schedules are paused: no job starts by itself.".into());
    }
    for repository in &fleet.repositories {
        lines.extend(
            repository.problems.iter().map(|p| format!("Repository {}: {p}", repository.name)),
        );
    }
    for alert in &fleet.alerts {
        for delivery in &alert.deliveries {
            if let Some(error) = &delivery.error {
                let source = alert.source.as_ref().map_or("", |source| source.as_str());
                lines.push(format!(
                    "Alert `{}` {source} did not reach {}: {error}",
                    alert.name, delivery.channel
                ));
            }
        }
    }
    if !lines.is_empty() {
        html!(out; "<section class=\"problems\"><h2>The backup system itself</h2><ul>");
        for line in lines {
            html!(out; "<li>" [words::sentence(&line)] "</li>");
        }
        html!(out; "</ul></section>");
    }
    out
}

fn row(out: &mut Html, source: &Source, now: Timestamp) {
    html!(out; "<tr><th scope=\"row\"><a id=\"s-" (source.name) "\" href=\"/sources/" (source.name) "\">" (source.name) "</a><small>"
        (source.provider) "</small></th><td data-label=\"State\">" [frame::state(source.state)]);
    if let Some(reason) = source.reasons.first() {
        html!(out; "<small class=\"why\">" [words::sentence(reason)] "</small>");
    } else if let Some(names) = concerns(source) {
        html!(out; "<small class=\"why\">" (names) "</small>");
    }
    html!(out; "</td><td data-label=\"Verified\">" [proved(source, now)] "</td><td data-label=\"Recoverable\">");
    match &source.window {
        Some(window) => {
            html!(out; "<span>" [words::ago(window.from, now)] " – " [words::ago(window.to, now)] "</span><small>"
                (if window.continuous { "any instant" } else { "at snapshots" }) "</small>");
        }
        None => html!(out; "<span class=\"none\">nothing</span>"),
    }
    html!(out; "</td><td data-label=\"Size\" class=\"size\">");
    if let Some(size) = source.sizes.last() {
        html!(out; [chart::sparkline(&source.sizes)] "<small>" (words::bytes(size.read_bytes)) "</small>");
    }
    html!(out; "</td><td data-label=\"Stored\" class=\"number\">");
    if source.snapshots > 0 {
        html!(out; (words::bytes(source.stored_bytes)) "<small>" (words::count(source.snapshots, "snapshot")) "</small>");
    }
    html!(out; "</td><td data-label=\"Next backup\">" [next(source, now)] "</td><td data-label=\"30 days\">"
        [chart::strip(&source.days)] "</td></tr>");
}

/// What is worth looking at although the source is protected, in a few words.
fn concerns(source: &Source) -> Option<String> {
    let worth = source.conditions.iter().filter(|condition| condition.severity != "info");
    let names: Vec<_> = worth.map(|condition| condition.name.replace('_', " ")).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// How old the newest proved snapshot is, as a share of what was promised.
pub(crate) fn proved(source: &Source, now: Timestamp) -> Html {
    let mut out = Html::new();
    let Some(at) = source.proved_at else {
        html!(out; "<span class=\"none\">never</span>");
        return out;
    };
    let age = now.duration_since(at).as_secs_f64().max(0.0);
    let rpo = source.rpo_seconds.max(1) as f64;
    let late = age > rpo;
    html!(out; "<span class=\"meter" (if late { " late" } else { "" }) "\">" [words::ago(at, now)] "<svg viewBox=\"0 0 60 6\" aria-hidden=\"true\">"
        "<rect class=\"track\" width=\"60\" height=\"6\" rx=\"3\"/><rect class=\"fill\" width=\""
        (format!("{:.1}", (age / rpo).min(1.0) * 60.0)) "\" height=\"6\" rx=\"3\"/></svg></span><small>"
        (if late { "over " } else { "of " }) (words::short(rpo)) "</small>");
    out
}

pub(crate) fn next(source: &Source, now: Timestamp) -> Html {
    let mut out = Html::new();
    if !source.active_runs.is_empty() {
        for run in source.active_runs.iter().take(1) {
            html!(out; "<a class=\"running-now\" href=\"/runs/" (run) "\">running now</a>");
        }
        return out;
    }
    match source.next_of(Job::Backup) {
        Some(next) => {
            if let Some(since) = next.overdue_since {
                html!(out; "<span class=\"overdue-word\">overdue " (words::short(now.duration_since(since).as_secs_f64())) "</span>");
            }
            match next.at {
                Some(at) => html!(out; [words::ago(at, now)]),
                None => html!(out; "<span class=\"none\">not planned</span>"),
            }
            html!(out; "<small>" (next.schedule) "</small>");
        }
        None => html!(out; "<span class=\"none\">no schedule</span>"),
    }
    out
}

fn legend() -> Html {
    let mut out = Html::new();
    html!(out; "<p class=\"legend quiet\">30 days: a full bar is a good day, a short one a warning, a hollow one overdue, "
        "a crossed one failed, a dot nothing planned. Verified: age of the newest snapshot that was proved as far as its owner asked.</p>");
    out
}
