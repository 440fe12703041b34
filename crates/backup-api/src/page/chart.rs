//! Pictures drawn on the server. Each says in words what it shows.

use jiff::Timestamp;

use super::html::{Html, html};
use super::words;
use crate::view::{Day, DayState, Growth, SizePoint, SourceHistory};

/// A number with one decimal, for coordinates.
fn at(value: f64) -> String {
    format!("{value:.1}")
}

/// A line without axes: how sizes went.
pub(crate) fn sparkline(sizes: &[SizePoint]) -> Html {
    let mut out = Html::new();
    let (Some(first), Some(last)) = (sizes.first(), sizes.last()) else { return out };
    let values: Vec<f64> = sizes.iter().map(|size| size.read_bytes as f64).collect();
    let (low, high) = bounds(&values);
    let step = 96.0 / (values.len().max(2) - 1) as f64;
    let y = |value: f64| 20.0 - (value - low) / (high - low) * 16.0;
    let points: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(x, v)| format!("{:.1},{:.1}", 2.0 + x as f64 * step, y(*v)))
        .collect();
    let label =
        format!("from {} to {}", words::bytes(first.read_bytes), words::bytes(last.read_bytes));
    html!(out; "<svg class=\"spark\" viewBox=\"0 0 100 24\" role=\"img\" aria-label=\"size " (label) "\"><title>" (label)
        "</title><polyline points=\"" (points.join(" ")) "\"/><circle cx=\""
        (at(2.0 + (values.len() - 1) as f64 * step)) "\" cy=\"" (at(y(*values.last().unwrap_or(&low)))) "\" r=\"2\"/></svg>");
    out
}

/// The last days, one mark each: its shape says what the day was like.
pub(crate) fn strip(days: &[Day]) -> Html {
    let mut out = Html::new();
    if days.is_empty() {
        return out;
    }
    let count = |state| days.iter().filter(|day| day.state == state).count();
    let mut label = format!("last {} days: {} good", days.len(), count(DayState::Good));
    for state in [DayState::Warning, DayState::Overdue, DayState::Failed] {
        if count(state) > 0 {
            label = format!("{label}, {} {}", count(state), state.label());
        }
    }
    html!(out; "<svg class=\"strip\" viewBox=\"0 0 " (days.len() * 6) " 18\" role=\"img\" aria-label=\"" (label) "\">");
    for (number, day) in days.iter().enumerate() {
        let x = number * 6;
        let title = if day.note.is_empty() || day.note == day.state.label() {
            format!("{}: {}", day.date, day.state.label())
        } else {
            format!("{}: {}. {}", day.date, day.state.label(), day.note)
        };
        // Tall and full is good; anything else also has another outline.
        let (class, y, height) = match day.state {
            DayState::Good => ("good", 1, 16),
            DayState::Running => ("running", 5, 8),
            DayState::Warning => ("warning", 7, 10),
            DayState::Overdue => ("overdue", 1, 16),
            DayState::Failed => ("failed", 1, 16),
            DayState::Idle => ("idle", 14, 3),
            DayState::Before => ("before", 16, 1),
        };
        html!(out; "<g class=\"" (class) "\"><title>" (title) "</title><rect x=\"" (x) ".5\" y=\"" (y)
            "\" width=\"4\" height=\"" (height) "\" rx=\"1\"/>");
        if day.state == DayState::Failed {
            html!(out; "<path d=\"M" (x + 1) " 6.5l3 5m0-5l-3 5\"/>");
        }
        html!(out; "</g>");
    }
    html!(out; "</svg>");
    out
}

/// Bars over time, one per snapshot.
pub(crate) fn bars(
    title: &'static str,
    points: &[SizePoint],
    value: fn(&SizePoint) -> f64,
    show: fn(f64) -> String,
) -> Html {
    let mut out = Html::new();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return out };
    let most = points.iter().map(value).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let width = 600.0 / points.len() as f64;
    let newest = value(last);
    html!(out; "<figure><figcaption>" (title) " <span class=\"quiet\">newest " (show(newest)) ", most " (show(most))
        "</span></figcaption><svg class=\"bars\" viewBox=\"0 0 600 96\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\""
        (title) ": newest " (show(newest)) ", most " (show(most)) "\">");
    for (number, point) in points.iter().enumerate() {
        let height = (value(point) / most * 92.0).max(1.0);
        let class = if point.suspect { "suspect" } else { "bar" };
        html!(out; "<rect class=\"" (class) "\" x=\"" (at(number as f64 * width + width * 0.12)) "\" y=\"" (at(94.0 - height))
            "\" width=\"" (at(width * 0.76)) "\" height=\"" (at(height)) "\"><title>" (words::stamp(point.at)) ": "
            (show(value(point))) "</title></rect>");
    }
    html!(out; "</svg><div class=\"axis\"><span>" (words::day(first.at)) "</span><span>" (words::day(last.at))
        "</span></div></figure>");
    out
}

/// What can be brought back: ranges, holes between them, snapshots, drills.
pub(crate) fn timeline(history: &SourceHistory, now: Timestamp) -> Html {
    let mut out = Html::new();
    let starts = history.windows.iter().map(|w| w.from).chain(history.sizes.iter().map(|s| s.at));
    let Some(begin) = starts.min() else { return out };
    let span = now.duration_since(begin).as_secs_f64().max(1.0);
    let x =
        |at: Timestamp| (at.duration_since(begin).as_secs_f64() / span).clamp(0.0, 1.0) * 1000.0;
    let label = format!(
        "{} and {} since {}",
        words::count(history.windows.len() as u64, "recoverable range"),
        words::count(history.gaps.len() as u64, "gap"),
        words::stamp(begin)
    );
    html!(out; "<div class=\"timeline\"><svg viewBox=\"0 0 1000 64\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"" (label) "\">");
    for window in &history.windows {
        let (from, to) = (x(window.from), x(window.to));
        let class = if window.continuous { "window" } else { "window points" };
        let what = if window.continuous { "every instant" } else { "the instants of snapshots" };
        html!(out; "<rect class=\"" (class) "\" x=\"" (at(from)) "\" y=\"18\" width=\"" (at((to - from).max(1.0)))
            "\" height=\"20\"><title>" (what) " from " (words::stamp(window.from)) " to " (words::stamp(window.to)) "</title></rect>");
    }
    for gap in &history.gaps {
        let (from, to) = (x(gap.from), x(gap.to));
        html!(out; "<rect class=\"gap\" x=\"" (at(from)) "\" y=\"14\" width=\"" (at((to - from).max(3.0)))
            "\" height=\"28\"><title>gap from " (words::stamp(gap.from)) " to " (words::stamp(gap.to)) ": " (gap.reason)
            "</title></rect>");
    }
    for snapshot in &history.snapshots {
        let class = match snapshot.verified.level.as_str() {
            "drilled" => "tick drilled",
            "read" => "tick read",
            _ => "tick unproved",
        };
        html!(out; "<rect class=\"" (class) "\" x=\"" (at(x(snapshot.started_at) - 1.0)) "\" y=\"44\" width=\"2.4\" height=\"14\"><title>snapshot "
            (snapshot.id.chars().take(8).collect::<String>()) ", " (words::stamp(snapshot.started_at)) ", proved: "
            (snapshot.verified.level) "</title></rect>");
    }
    for drill in &history.drills {
        let middle = x(drill.at);
        let class = if drill.passed { "drill passed" } else { "drill failed" };
        let word = if drill.passed { "passed" } else { "failed" };
        html!(out; "<path class=\"" (class) "\" d=\"M" (at(middle - 5.0)) " 2h10l-5 10z\"><title>drill " (word) ", "
            (words::stamp(drill.at)) "</title></path>");
    }
    html!(out; "</svg><div class=\"axis\"><span>" (words::stamp(begin)) "</span><span>now</span></div></div>");
    out
}

/// A repository's size over time, with the line through it.
pub(crate) fn growth(points: &[Growth], slope: Option<f64>, capacity: Option<u64>) -> Html {
    let mut out = Html::new();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return out };
    let seen = last.at.duration_since(first.at).as_secs_f64();
    if seen <= 0.0 {
        return out;
    }
    // A third more than was seen, for what is to come.
    let span = seen * 4.0 / 3.0;
    let ahead = slope.map(|slope| last.stored_bytes as f64 + slope / 86_400.0 * (span - seen));
    let most = points.iter().map(|p| p.stored_bytes as f64).chain(ahead).fold(1.0, f64::max);
    let end = capacity.map(|bytes| bytes as f64).filter(|bytes| *bytes <= most * 3.0);
    let top = end.unwrap_or(most).max(most) * 1.05;
    let x = |t: f64| t / span * 600.0;
    let y = |v: f64| 156.0 - v / top * 150.0;
    let line: Vec<_> = points
        .iter()
        .map(|p| {
            let t = p.at.duration_since(first.at).as_secs_f64();
            format!("{:.1},{:.1}", x(t), y(p.stored_bytes as f64))
        })
        .collect();
    html!(out; "<figure><svg class=\"growth\" viewBox=\"0 0 600 160\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"stored bytes from "
        (words::bytes(first.stored_bytes)) " to " (words::bytes(last.stored_bytes)) "\">");
    if let Some(end) = end {
        html!(out; "<line class=\"capacity\" x1=\"0\" x2=\"600\" y1=\"" (at(y(end))) "\" y2=\"" (at(y(end))) "\"><title>full at "
            (words::bytes(end as u64)) "</title></line>");
    }
    html!(out; "<polygon points=\"0,156 " (line.join(" ")) " " (at(x(seen))) ",156\"/><polyline points=\"" (line.join(" ")) "\"/>");
    if let Some(ahead) = ahead {
        html!(out; "<line class=\"ahead\" x1=\"" (at(x(seen))) "\" y1=\"" (at(y(last.stored_bytes as f64))) "\" x2=\"600\" y2=\""
            (at(y(ahead))) "\"/>");
    }
    html!(out; "</svg><div class=\"axis thirds\"><span>" (words::day(first.at)) "</span><span>today, "
        (words::day(last.at)) "</span><span>forecast</span></div></figure>");
    out
}

fn bounds(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // A flat line lies in the middle, and small changes do not look like cliffs.
    let room = (high * 0.05).max(1.0);
    if high - low < room { (low - room, high + room) } else { (low, high) }
}
