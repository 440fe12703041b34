//! Where snapshots rest, and for how long there is room.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::Timestamp;

use super::frame::Page;
use super::html::{Html, html};
use super::{chart, words};
use crate::http::{App, Call, Refused, Reply};
use crate::view::{Fleet, Repository};

pub(crate) async fn page(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let fleet = app.facts.fleet().await?;
    let mut main = Html::new();
    html!(main; "<div class=\"title\"><h1>Storage</h1></div>");
    for repository in &fleet.repositories {
        show(&mut main, repository, fleet.at);
    }
    if fleet.repositories.is_empty() {
        html!(main; "<p class=\"quiet\">No repository is configured.</p>");
    }
    by_source(&mut main, &fleet);
    let (title, caller) = ("Storage · backupd".into(), &call.caller);
    let events = Some(String::new());
    Ok(Page { title, place: "storage", events, caller, fleet: &fleet, main }.reply())
}

fn show(out: &mut Html, repository: &Repository, now: Timestamp) {
    html!(out; "<section class=\"card\"><h2>" (repository.name) " <code class=\"quiet\">" (repository.location) "</code></h2>");
    for problem in &repository.problems {
        html!(out; "<p class=\"complaint\">" (problem) "</p>");
    }
    let told = |detail: &String| repository.problems.contains(detail);
    for condition in repository.conditions.iter().filter(|one| !told(&one.detail)) {
        html!(out; "<p class=\"quiet\">" [words::sentence(&condition.detail)] "</p>");
    }
    let known = |bytes: Option<u64>| bytes.map_or_else(|| "not known".into(), words::bytes);
    html!(out; "<dl class=\"tiles\"><div><dt>Stored</dt><dd>" (known(repository.stored_bytes)) "<small>"
        (words::count(repository.snapshots, "snapshot")));
    if let Some(objects) = repository.objects {
        html!(out; ", " (words::count(objects, "object")));
    }
    html!(out; "</small></dd></div><div><dt>Source bytes each stored byte stands for</dt><dd>");
    match repository.ratio() {
        Some(ratio) => {
            html!(out; (format!("{ratio:.1}")) "<small>" (known(repository.source_bytes)) " of source</small>");
        }
        None => html!(out; "<span class=\"none\">not known</span>"),
    }
    html!(out; "</dd></div><div><dt>Not needed any more</dt><dd>" (known(repository.unused_bytes)) "<small>prune gives it back</small></dd></div>"
        "<div><dt>Free</dt><dd>");
    match (repository.available_bytes, repository.capacity_bytes) {
        (Some(free), Some(all)) => {
            html!(out; (words::bytes(free)) "<small>of " (words::bytes(all)) "</small>");
        }
        _ => html!(out; "<span class=\"none\">no end known</span>"),
    }
    html!(out; "</dd></div><div><dt>Growth</dt><dd>");
    match repository.forecast {
        Some(forecast) => {
            let sign = if forecast.bytes_a_day < 0.0 { "−" } else { "+" };
            html!(out; (sign) (words::bytes(forecast.bytes_a_day.abs() as u64)) " a day<small>");
            match forecast.full_at {
                Some(at) => html!(out; "full " [words::ago(at, now)]),
                None => html!(out; "over " (format!("{:.0}", forecast.days)) " days"),
            }
            html!(out; "</small>");
        }
        None => html!(out; "<span class=\"none\">too early to say</span>"),
    }
    html!(out; "</dd></div></dl>"
        [chart::growth(&repository.growth, repository.forecast.map(|f| f.bytes_a_day), repository.capacity_bytes)]);
    if let Some(at) = repository.measured_at {
        html!(out; "<p class=\"quiet\">Measured " [words::ago(at, now)] ".</p>");
    }
    html!(out; "</section>");
}

fn by_source(out: &mut Html, fleet: &Fleet) {
    let mut sources: Vec<_> = fleet.sources.iter().filter(|s| s.snapshots > 0).collect();
    sources.sort_by_key(|source| (Reverse(source.stored_bytes), &source.name));
    let Some(most) = sources.first().map(|source| source.stored_bytes.max(1)) else { return };
    html!(out; "<section class=\"card\"><h2>By source</h2><table><thead><tr><th scope=\"col\">Source</th><th scope=\"col\">Share</th>"
        "<th scope=\"col\" class=\"number\">Stored</th><th scope=\"col\" class=\"number\">Newest</th><th scope=\"col\">Size</th></tr></thead><tbody>");
    for source in sources.iter().take(200) {
        let share = source.stored_bytes as f64 / most as f64 * 100.0;
        html!(out; "<tr><th scope=\"row\"><a href=\"/sources/" (source.name) "\">" (source.name) "</a></th><td class=\"share\" data-label=\"Share\">"
            "<svg viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" width=\"100\" height=\"8\"/>"
            "<rect class=\"fill\" width=\"" (format!("{share:.1}")) "\" height=\"8\"/></svg></td><td class=\"number\" data-label=\"Stored\">"
            (words::bytes(source.stored_bytes)) "</td><td class=\"number\" data-label=\"Newest\">");
        if let Some(size) = source.sizes.last() {
            html!(out; (words::bytes(size.stored_bytes)) "<small>of " (words::bytes(size.read_bytes)) "</small>");
        }
        html!(out; "</td><td data-label=\"Size\">" [chart::sparkline(&source.sizes)] "</td></tr>");
    }
    html!(out; "</tbody></table></section>");
}
