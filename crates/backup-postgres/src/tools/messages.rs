//! What PostgreSQL's programs say on standard error.

/// Standard error, sorted by weight. Each entry is one message with its details joined on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Messages {
    /// Errors, ignored ones included.
    pub(crate) errors: Vec<String>,
    /// Warnings.
    pub(crate) warnings: Vec<String>,
    /// Everything else.
    pub(crate) other: Vec<String>,
    /// The number in "errors ignored on restore".
    pub(crate) ignored: u64,
}

impl Messages {
    /// Sorts the text a program wrote.
    pub(crate) fn parse(stderr: &str) -> Self {
        let mut messages = Self::default();
        let mut last = Weight::Other;
        for line in stderr.lines().filter(|line| !line.trim().is_empty()) {
            let Some(text) = after_program(line) else {
                messages.append(last, line);
                continue;
            };
            if let Some(count) = ignored_errors(text) {
                messages.ignored = count;
                continue;
            }
            if let Some(detail) = text.strip_prefix("detail: ").or(text.strip_prefix("hint: ")) {
                messages.append(last, detail);
                continue;
            }
            last = messages.add(text);
        }
        messages
    }

    /// Returns the errors on one line each, or everything when none was marked as such.
    pub(crate) fn failure(&self) -> String {
        if self.errors.is_empty() {
            return [self.warnings.as_slice(), self.other.as_slice()].concat().join("; ");
        }
        self.errors.join("; ")
    }

    fn add(&mut self, text: &str) -> Weight {
        let (weight, text) = if let Some(text) = text.strip_prefix("error: ") {
            (Weight::Error, text)
        } else if let Some(text) = text.strip_prefix("warning: ") {
            (Weight::Warning, text)
        } else {
            (Weight::Other, text)
        };
        self.list(weight).push(text.trim().to_owned());
        weight
    }

    fn append(&mut self, weight: Weight, text: &str) {
        let list = self.list(weight);
        match list.last_mut() {
            Some(message) => {
                message.push(' ');
                message.push_str(text.trim());
            }
            None => list.push(text.trim().to_owned()),
        }
    }

    fn list(&mut self, weight: Weight) -> &mut Vec<String> {
        match weight {
            Weight::Error => &mut self.errors,
            Weight::Warning => &mut self.warnings,
            Weight::Other => &mut self.other,
        }
    }
}

#[derive(Clone, Copy)]
enum Weight {
    Error,
    Warning,
    Other,
}

fn after_program(line: &str) -> Option<&str> {
    let (program, text) = line.split_once(": ")?;
    program.starts_with("pg_").then_some(text)
}

fn ignored_errors(text: &str) -> Option<u64> {
    let count = text.strip_prefix("warning: ").unwrap_or(text);
    count.strip_prefix("errors ignored on restore: ")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_sorted_and_joined_with_their_details() {
        let messages = Messages::parse(
            "pg_dump: warning: there are circular foreign-key constraints on this table:\n\
             pg_dump: detail: t\n\
             pg_dump: hint: You might not be able to restore it.\n\
             pg_dump: error: query failed: ERROR:  permission denied for table secret\n\
             pg_dump: detail: Query was: LOCK TABLE public.secret IN ACCESS SHARE MODE\n",
        );
        assert_eq!(messages.warnings.len(), 1);
        assert!(messages.warnings[0].ends_with("t You might not be able to restore it."));
        assert!(messages.failure().starts_with("query failed: ERROR:  permission denied"));
        assert!(messages.failure().contains("Query was"));
    }

    #[test]
    fn ignored_errors_are_counted() {
        let messages = Messages::parse(
            "pg_restore: error: could not execute query: ERROR:  no such thing\n\
             Command was: SELECT 1;\n\n\
             pg_restore: warning: errors ignored on restore: 3\n",
        );
        assert_eq!(messages.ignored, 3);
        assert_eq!(messages.errors.len(), 1);
        assert!(messages.errors[0].ends_with("Command was: SELECT 1;"));
    }
}
