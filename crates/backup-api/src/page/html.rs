//! HTML that cannot be broken out of: only literals are taken as they are.

use std::fmt::{self, Display, Write};

/// A piece of a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Html(String);

/// Adds to a piece: literals as they are, `(values)` escaped, `[pieces]` as they were made.
macro_rules! html {
    (@ $out:expr,) => {};
    (@ $out:expr, $literal:literal $($rest:tt)*) => {
        $out.literal($literal);
        html!(@ $out, $($rest)*);
    };
    (@ $out:expr, ($value:expr) $($rest:tt)*) => {
        $out.text(&$value);
        html!(@ $out, $($rest)*);
    };
    (@ $out:expr, [$piece:expr] $($rest:tt)*) => {
        $out.piece(&$piece);
        html!(@ $out, $($rest)*);
    };
    ($out:expr; $($rest:tt)*) => {{
        html!(@ $out, $($rest)*);
    }};
}
pub(crate) use html;

impl Html {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn literal(&mut self, literal: &'static str) {
        self.0.push_str(literal);
    }

    pub(crate) fn text(&mut self, value: &dyn Display) {
        let _ = write!(Escaping(&mut self.0), "{value}");
    }

    pub(crate) fn piece(&mut self, piece: &Self) {
        self.0.push_str(&piece.0);
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // Directions and controls could make text look like another.
                c if c.is_control()
                    || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
                {
                    self.0.push('\u{fffd}');
                }
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_pieces_are_not() {
        let hostile = "<script>'\"&\u{202e}\0";
        let mut inner = Html::new();
        html!(inner; "<b>" (hostile) "</b>");
        let mut outer = Html::new();
        html!(outer; "<p title=\"" (hostile) "\">" [inner] (7) "</p>");
        let safe = "&lt;script&gt;&#39;&quot;&amp;\u{fffd}\u{fffd}";
        assert_eq!(outer.into_string(), format!("<p title=\"{safe}\"><b>{safe}</b>7</p>"));
    }
}
