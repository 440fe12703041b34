//! Finding words of a statement that are in no quotes.

/// Reads a name in backticks or single quotes (old servers) at the beginning of a text; returns
/// what follows it as well.
pub(super) fn take_quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '`' | '\''))?;
    let mut rest = text.strip_prefix(quote)?;
    let mut name = String::new();
    loop {
        let (piece, after) = rest.split_once(quote)?;
        name.push_str(piece);
        match after.strip_prefix(quote) {
            Some(more) => {
                name.push(quote);
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

/// Splits a statement at the first place where this word is in no quotes.
pub(super) fn split_at_word<'a>(sql: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let mut quote = None;
    let mut escaped = false;
    for (position, c) in sql.char_indices() {
        match quote {
            Some(open) => {
                if escaped {
                    escaped = false;
                } else if c == '\\' && open != '`' {
                    escaped = true;
                } else if c == open {
                    quote = None;
                }
            }
            None if matches!(c, '`' | '\'' | '"') => quote = Some(c),
            None => {
                if let Some(after) = sql.get(position..).and_then(|rest| rest.strip_prefix(word)) {
                    return Some((sql.get(..position)?, after));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_quotes_are_not_found() {
        let sql = "GRANT SELECT (`a ON b`) ON `x TO y`.* TO `u`@`h`";
        assert_eq!(split_at_word(sql, " ON ").unwrap().1, "`x TO y`.* TO `u`@`h`");
        assert_eq!(split_at_word(sql, " TO ").unwrap().1, "`u`@`h`");
        assert_eq!(
            split_at_word(r"AS 'a\' REQUIRE ' REQUIRE NONE", " REQUIRE ").unwrap().1,
            "NONE"
        );
        assert!(split_at_word("'it''s TO '", " TO ").is_none());
    }
}
