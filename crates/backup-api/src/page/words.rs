//! Numbers and times in words.

use backup_core::ByteSize;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::html::{Html, html};

/// A length of time, its two largest units: `3 d 4 h`.
pub(crate) fn length(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10.0 => format!("{:.1} s", seconds.max(0.0)),
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, minutes) if minutes < 10 && !whole.is_multiple_of(60) => {
            format!("{minutes} min {} s", whole % 60)
        }
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) if days < 10 => format!("{days} d {hours} h"),
        (days, ..) => format!("{days} d"),
    }
}

/// A length of time, its largest unit only: `7 h`.
pub(crate) fn short(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min", whole / 60),
        3600..172_800 => format!("{} h", whole / 3600),
        _ => format!("{} d", whole / 86_400),
    }
}

/// An instant as people compare it: `7 h ago`, `in 3 d`; the instant itself on hovering.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> Html {
    let seconds = now.duration_since(at).as_secs_f64();
    let text = match seconds {
        s if s.abs() < 5.0 => "now".to_owned(),
        s if s > 0.0 => format!("{} ago", short(s)),
        s => format!("in {}", short(-s)),
    };
    time(at, &text)
}

/// An instant in full, in UTC.
pub(crate) fn instant(at: Timestamp) -> Html {
    time(at, &stamp(at))
}

fn time(at: Timestamp, text: &str) -> Html {
    let mut out = Html::new();
    let precise = at.strftime("%Y-%m-%dT%H:%M:%SZ");
    html!(out; "<time datetime=\"" (precise) "\" title=\"" (stamp(at)) " UTC\">" (text) "</time>");
    out
}

/// `2026-03-01 03:00`.
pub(crate) fn stamp(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M").to_string()
}

/// `Mar 1`.
pub(crate) fn day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%b %-d").to_string()
}

/// A sentence in which commands stand between backticks.
pub(crate) fn sentence(text: &str) -> Html {
    let mut out = Html::new();
    let pieces: Vec<_> = text.split('`').collect();
    // An odd one out is no command.
    if pieces.len().is_multiple_of(2) {
        html!(out; (text));
        return out;
    }
    for (place, piece) in pieces.iter().enumerate() {
        match place % 2 {
            0 => html!(out; (piece)),
            _ => html!(out; "<code>" (piece) "</code>"),
        }
    }
    out
}

/// Bytes.
pub(crate) fn bytes(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}

/// `1 run`, `3 runs`.
pub(crate) fn count(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_well() {
        let cases = [
            (0.42, "0.4 s"),
            (42.0, "42 s"),
            (62.0, "1 min 2 s"),
            (120.0, "2 min"),
            (1800.0, "30 min"),
            (7200.0, "2 h"),
            (7260.0, "2 h 1 min"),
            (90_000.0, "1 d 1 h"),
            (2_592_000.0, "30 d"),
        ];
        for (seconds, text) in cases {
            assert_eq!(length(seconds), text);
        }
        assert_eq!(short(26.0 * 3600.0), "26 h");
        assert_eq!(short(3.0 * 86_400.0), "3 d");
    }

    #[test]
    fn commands_stand_out_and_stay_escaped() {
        let text = |text| sentence(text).into_string();
        assert_eq!(text("run `a <b>`."), "run <code>a &lt;b&gt;</code>.");
        assert_eq!(text("a ` b"), "a ` b");
    }

    #[test]
    fn instants_say_past_and_future() {
        let now = "2026-03-01T10:00:00Z".parse().unwrap();
        let text = |at: &str| ago(at.parse().unwrap(), now).into_string();
        assert!(text("2026-03-01T03:00:00Z").contains(">7 h ago<"));
        assert!(text("2026-03-01T11:00:00Z").contains(">in 1 h<"));
        assert!(text("2026-03-01T10:00:01Z").contains(">now<"));
    }
}
