//! Texts as people read them, within the limits of those who show them.

use backup_core::Severity;
use backup_core::port::{Alert, Phase};

/// Returns the line that says everything: how bad, and what.
pub(crate) fn headline(alert: &Alert) -> String {
    format!("[{}] {}", word(alert), alert.title)
}

fn word(alert: &Alert) -> &'static str {
    match (alert.phase, alert.severity) {
        (Phase::Solved, _) => "SOLVED",
        (Phase::Reminder, Severity::Critical) => "STILL CRITICAL",
        (Phase::Reminder, _) => "STILL WARNING",
        (_, Severity::Critical) => "CRITICAL",
        (_, Severity::Warning) => "WARNING",
        (_, Severity::Info) => "OK",
    }
}

/// Returns event, source and time on one line.
pub(crate) fn context(alert: &Alert) -> String {
    let mut words = vec![alert.event.clone()];
    words.extend(alert.source.clone());
    words.push(format!("{:.0}", alert.at));
    words.join(" · ")
}

/// Shortens a text to so many UTF-16 units, the measure of most chat services.
pub(crate) fn cut(text: &str, units: usize) -> String {
    let end = prefix(text, units);
    if end == text.len() {
        return text.to_owned();
    }
    format!("{}…", &text[..prefix(text, units - 1)])
}

/// Returns the length in bytes of the longest prefix of at most `units` UTF-16 units.
pub(crate) fn prefix(text: &str, units: usize) -> usize {
    let mut used = 0;
    text.char_indices()
        .find(|(_, c)| {
            used += c.len_utf16();
            used > units
        })
        .map_or(text.len(), |(at, _)| at)
}

/// Shortens a text to so many bytes, at a character's end, saying how much is missing.
pub(crate) fn cut_bytes(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most.saturating_sub(60)).rev().find(|at| text.is_char_boundary(*at));
    let (head, rest) = text.split_at(end.unwrap_or(0));
    format!("{head}\n… and {} more characters", rest.chars().count())
}

/// Puts a backslash before everything that Markdown might take for markup.
pub(crate) fn plain_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*_~|<>#[]()".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_never_splits_a_character() {
        assert_eq!(cut("😀😀😀", 4), "😀…");
        assert_eq!(cut("abc", 3), "abc");
        let long = cut_bytes(&"ä".repeat(200), 100);
        assert!(long.len() <= 100 && long.ends_with("180 more characters"), "{long}");
        assert_eq!(cut_bytes("ä", 2), "ä");
    }

    #[test]
    fn markup_becomes_text() {
        assert_eq!(plain_markdown("a *b* [c](d) <@e>"), "a \\*b\\* \\[c\\]\\(d\\) \\<@e\\>");
    }
}
