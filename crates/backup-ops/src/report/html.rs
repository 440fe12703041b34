//! The report as one page that prints well and loads nothing.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::model::{Report, SourceReport, Target};

const STYLE: &str = "\
@page{size:A4;margin:18mm}\
body{font:14px/1.45 system-ui,sans-serif;color:#1a1f24;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem;margin:0 0 .2rem}h2{font-size:1.15rem;margin:2rem 0 .5rem;break-after:avoid}\
table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}tr{break-inside:avoid}\
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #d5dbe1}\
th{font-weight:600;background:#f3f5f7}td.n{text-align:right;font-variant-numeric:tabular-nums}\
.pass{color:#0b6b3a}.fail{color:#a4161a;font-weight:700}.quiet{color:#5b6670}code{font-size:.92em}";

/// Writes the page; `tail` stands at its end as it is.
pub(super) fn html(report: &Report, tail: &str) -> String {
    let mut out = String::new();
    let from = day(report.period.from);
    let to = day(report.period.to);
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Backup evidence {from} to {to}</title><style>{STYLE}</style></head><body>\n\
         <h1>Backup evidence</h1>\n<p>{from} to {to} · repository <code>{id}</code> at {location}<br>\
         <span class=\"quiet\">made {at} by {program}</span></p>\n",
        id = report.repository,
        location = escape(&report.location),
        at = report.generated_at,
        program = escape(&report.program),
    );
    controls(&mut out, report);
    for source in &report.sources {
        one_source(&mut out, source);
    }
    keys(&mut out, report);
    audit(&mut out, report);
    out.push_str("<h2>What this report cannot know</h2>\n<ul>\n");
    for limit in &report.limits {
        let _ = writeln!(out, "<li>{}</li>", escape(limit));
    }
    let _ = write!(out, "</ul>\n{tail}\n</body></html>\n");
    out
}

fn controls(out: &mut String, report: &Report) {
    out.push_str("<h2>Controls</h2>\n");
    head(out, &["Framework", "Control", "Topic", "Facts say", "Evidence"]);
    for control in &report.controls {
        let label = control.outcome.label();
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{}\">{label}</td><td>{}</td></tr>",
            escape(&control.framework),
            escape(&control.reference),
            escape(&control.topic),
            label.split(' ').next().unwrap_or_default(),
            escape(&control.evidence),
        );
    }
    out.push_str("</table>\n");
}

fn one_source(out: &mut String, source: &SourceReport) {
    let promised = &source.promised;
    let _ = write!(
        out,
        "<h2>Source {}</h2>\n<p>Promised: proved to level {}, retention {}{}.</p>\n",
        escape(source.source.as_str()),
        promised.level.as_str(),
        escape(&promised.retention),
        promised.drill_interval_seconds.map_or_else(String::new, |seconds| {
            format!(", a drill every {}", span(Some(seconds as f64)))
        }),
    );
    head(
        out,
        &["Backups", "Suspect", "Failed", "Proved", "RPO: worst / target", "RTO: worst / target"],
    );
    let counts = &source.backups;
    let _ = writeln!(
        out,
        "<tr><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td>{}{}</tr></table>",
        counts.succeeded,
        counts.suspect,
        counts.failed,
        counts.proved,
        against(&source.rpo),
        against(&source.rto)
    );
    if !source.success.is_empty() {
        let names = ["Days", "Went well", "Of", "Share"];
        rows(out, "Success, up to the end of the period", &names, &source.success, |rate| {
            let share = rate.good as f64 * 100.0 / rate.all.max(1) as f64;
            let share = if rate.all == 0 { "–".into() } else { format!("{share:.1} %") };
            vec![rate.days.to_string(), rate.good.to_string(), rate.all.to_string(), share]
        });
    }
    rows(
        out,
        "Snapshots kept",
        &["Snapshot", "Data of", "Proved", "When"],
        &source.snapshots,
        |s| {
            let when = s.proved_at.map_or_else(|| "–".into(), |at| at.to_string());
            vec![s.id.short(), s.started_at.to_string(), s.level.as_str().into(), when]
        },
    );
    rows(out, "Drills", &["At", "Snapshot", "Verdict", "RTO", "Detail"], &source.drills, |drill| {
        let rto = span(drill.rto_seconds);
        let (verdict, detail) = (drill.verdict.clone(), drill.detail.clone());
        vec![drill.at.to_string(), drill.snapshot.clone(), verdict, rto, detail]
    });
    rows(out, "Failures", &["At", "Job", "Why", "Answered"], &source.failures, |failure| {
        let answered = failure.answered_at.map_or_else(|| "not yet".into(), |at| at.to_string());
        vec![failure.at.to_string(), failure.job.clone(), failure.error.clone(), answered]
    });
}

fn keys(out: &mut String, report: &Report) {
    let _ = write!(out, "<h2>Encryption and access</h2>\n<p>{}</p>\n", escape(&report.encryption));
    rows(out, "Keys", &["Key", "Kind", "Role", "Label", "Added"], &report.keys, |key| {
        let added = key.created_at.to_string();
        vec![key.id.short(), key.kind.clone(), key.role.clone(), key.label.clone(), added]
    });
}

fn audit(out: &mut String, report: &Report) {
    out.push_str("<h2>Who did what</h2>\n");
    let Some(audit) = &report.audit else {
        out.push_str("<p>No audit record was at hand.</p>\n");
        return;
    };
    let state = match &audit.broken {
        None => format!(
            "The record is whole: {} entries, each sealed by the next; {} of the period. Newest: {}.",
            audit.entries, audit.in_period, audit.head
        ),
        Some(broken) => format!(
            "The record is broken: {broken}. The {} entries before are good; newest of them: {}.",
            audit.entries, audit.head
        ),
    };
    let class = if audit.broken.is_some() { "fail" } else { "pass" };
    let _ = writeln!(out, "<p class=\"{class}\">{}</p>", escape(&state));
    rows(
        out,
        "What changed something, or was refused",
        &["At", "Who", "From", "What", "Of", "Outcome"],
        &audit.acts,
        |act| {
            let who = [&act.actor, &act.remote, &act.action, &act.object, &act.outcome];
            [act.at.to_string()].into_iter().chain(who.into_iter().cloned()).collect()
        },
    );
    rows(out, "What was looked at", &["Who", "What", "Times"], &audit.reads, |read| {
        vec![read.actor.clone(), read.action.clone(), read.times.to_string()]
    });
}

/// A table with a caption, or one line where there is nothing.
fn rows<T>(
    out: &mut String,
    caption: &str,
    names: &[&str],
    items: &[T],
    row: impl Fn(&T) -> Vec<String>,
) {
    if items.is_empty() {
        let _ = writeln!(out, "<p class=\"quiet\">{caption}: none in the period.</p>");
        return;
    }
    let _ = writeln!(out, "<p>{caption}</p>");
    head(out, names);
    for item in items {
        let cells: Vec<String> =
            row(item).iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
        let _ = writeln!(out, "<tr>{}</tr>", cells.concat());
    }
    out.push_str("</table>\n");
}

fn head(out: &mut String, names: &[&str]) {
    let cells: Vec<String> = names.iter().map(|name| format!("<th>{name}</th>")).collect();
    let _ = writeln!(out, "<table><tr>{}</tr>", cells.concat());
}

fn against(target: &Target) -> String {
    let class = match target.met {
        Some(true) => "n pass",
        Some(false) => "n fail",
        None => "n",
    };
    let (worst, asked) = (span(target.worst_seconds), span(target.target_seconds));
    let verdict = match target.met {
        Some(true) => " (met)",
        Some(false) => " (missed)",
        None => "",
    };
    format!("<td class=\"{class}\">{worst} / {asked}{verdict}</td>")
}

/// Writes seconds for people; a dash when there are none.
pub(super) fn span(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return "–".into() };
    match seconds {
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 48.0 * 3600.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} d", s / 86400.0),
    }
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
