//! Names and texts as SQL writes them.

/// Returns a name in backticks.
#[must_use]
pub fn quote_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Returns a text in single quotes, for sessions whose `sql_mode` lets backslashes escape (ours
/// all do).
#[must_use]
pub fn quote_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{1a}' => out.push_str("\\Z"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_name_or_a_text_is_escaped() {
        assert_eq!(quote_name("a`b"), "`a``b`");
        assert_eq!(quote_text("it's \\ 'x'\n\0"), "'it\\'s \\\\ \\'x\\'\\n\\0'");
        assert_eq!(quote_text("naïve 🦀"), "'naïve 🦀'");
    }
}
