//! Small things as text.

use std::time::Duration;

use backup_core::{ByteSize, Finding, FindingKind};
use jiff::{Timestamp, Unit};

/// `2026-11-21 07:21:05Z`: UTC, to the second.
pub(crate) fn time(at: Timestamp) -> String {
    let rounded = at.round(Unit::Second).unwrap_or(at);
    rounded.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// One or two units: `40 s`, `26 h`, `3 d 4 h`.
pub(crate) fn age(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{} s", age.as_secs()),
        (0, minutes) => format!("{minutes} min"),
        (hours @ 0..48, 0) => format!("{hours} h"),
        (hours @ 0..48, minutes) => format!("{hours} h {minutes} min"),
        (hours, _) => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12.3 MiB/s`, or nothing when no time passed.
pub(crate) fn rate(bytes: u64, seconds: f64) -> String {
    if seconds <= 0.0 {
        return String::from("-");
    }
    format!("{}/s", ByteSize((bytes as f64 / seconds) as u64))
}

/// `4.2%` of a whole; `-` of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::from("-");
    }
    format!("{:.1}%", part as f64 * 100.0 / whole as f64)
}

/// `4.2 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) => format!("{seconds:.1} s"),
        (0, minutes, rest) => format!("{minutes} min {rest} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// `warning: …`, with the word that says how it weighs.
pub(crate) fn finding(finding: &Finding) -> String {
    let word = match finding.kind {
        FindingKind::Note => "note",
        FindingKind::Warning => "warning",
        FindingKind::Suspect => "suspect",
    };
    format!("{word}: {}", finding.message)
}

/// Returns a server's version with its maker's name. MariaDB says its own; PostgreSQL's versions
/// are above those of MySQL.
pub(crate) fn server(version: &str) -> String {
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    match digits.parse::<u32>() {
        Err(_) => "-".to_owned(),
        Ok(_) if version.contains("MariaDB") => format!("MariaDB {version}"),
        Ok(major) if major < 10 => format!("MySQL {version}"),
        Ok(_) => format!("PostgreSQL {version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(seconds(4.24), "4.2 s");
        assert_eq!(seconds(200.0), "3 min 20 s");
        assert_eq!(seconds(7500.0), "2 h 5 min");
        assert_eq!(age(Duration::from_secs(26 * 3600)), "26 h");
        assert_eq!(age(Duration::from_secs(50 * 3600)), "2 d 2 h");
        assert_eq!(percent(1, 8), "12.5%");
        assert_eq!(server("17.2 (Debian)"), "PostgreSQL 17.2 (Debian)");
        assert_eq!(server("10.11.6-MariaDB"), "MariaDB 10.11.6-MariaDB");
        assert_eq!((server("8.0.36").as_str(), server("").as_str()), ("MySQL 8.0.36", "-"));
        assert_eq!(percent(1, 0), "-");
        assert_eq!(rate(1 << 20, 2.0), "512.0 KiB/s");
        assert_eq!(time("2026-11-21T07:21:04.6Z".parse().unwrap()), "2026-11-21 07:21:05Z");
    }
}
