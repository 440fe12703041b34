//! Replacing names inside the statements that pg_dump writes.
//!
//! Only the statement forms that name roles or the database are ever given to this module
//! (GRANT, REVOKE, ALTER DEFAULT PRIVILEGES, CREATE POLICY, CREATE USER MAPPING, ALTER
//! DATABASE …); it cuts them into words and never looks inside literals or parentheses.

use std::borrow::Cow;

use crate::quote_ident;

/// What a name in a statement stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A role that is granted to, revoked from, or acted for.
    Role,
    /// The database.
    Database,
}

/// Returns the statements with every role and database name passed through `replace`; `None`
/// keeps a name as it is.
pub(crate) fn replace_names<'n>(
    sql: &str,
    replace: impl Fn(Named, &str) -> Option<Cow<'n, str>>,
) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut state = State::default();
    for word in (Words { rest: sql }) {
        let named = state.step(&word);
        match named.and_then(|named| replace(named, &word.name()?)) {
            Some(name) => out.push_str(&quote_ident(&name)),
            None => out.push_str(word.text),
        }
    }
    out
}

/// Returns every role the statements name.
pub(crate) fn roles_in(sql: &str) -> Vec<String> {
    let mut state = State::default();
    let mut roles = Vec::new();
    for word in (Words { rest: sql }) {
        if state.step(&word) == Some(Named::Role) && word.text != "PUBLIC" {
            roles.extend(word.name());
        }
    }
    roles
}

/// Returns statements without those that are carried out in the name of a role that `is_foreign`
/// says may not be acted for; of the others only the change of name is taken out.
pub(crate) fn in_own_name(sql: &str, is_foreign: impl Fn(&str) -> bool) -> String {
    const SET: &str = "SET SESSION AUTHORIZATION ";
    let mut out = String::with_capacity(sql.len());
    let mut skipping = false;
    for line in sql.split_inclusive('\n') {
        let statement = line.trim().trim_end_matches(';');
        if let Some(role) = statement.strip_prefix(SET) {
            skipping = is_foreign(&role.trim_matches('"').replace("\"\"", "\""));
        } else if statement == "RESET SESSION AUTHORIZATION" {
            skipping = false;
        } else if !skipping {
            out.push_str(line);
        }
    }
    out
}

/// Returns schema and name of the function that a trigger executes.
pub(crate) fn function_called(trigger: &str) -> Option<(String, String)> {
    let mut words = (Words { rest: trigger }).filter(|word| word.kind != Kind::Space);
    let mut depth = 0_usize;
    // A condition in parentheses may hold anything.
    while let Some(word) = words.next() {
        match word.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            "EXECUTE" if depth == 0 => {
                // FUNCTION, or PROCEDURE of old.
                words.next()?;
                let schema = words.next()?.name()?;
                words.next().filter(|word| word.text == ".")?;
                return Some((schema, words.next()?.name()?));
            }
            _ => {}
        }
    }
    None
}

/// Follows the statement to know which words are names.
#[derive(Default)]
struct State {
    depth: usize,
    previous: String,
    expecting: Option<Named>,
    /// A comma after a role continues its list.
    in_list: Option<Named>,
}

impl State {
    fn step(&mut self, word: &Word<'_>) -> Option<Named> {
        match word.kind {
            Kind::Space | Kind::Literal => None,
            Kind::Symbol => {
                self.symbol(word.text);
                None
            }
            Kind::Name if self.depth > 0 => None,
            Kind::Name => {
                let expected = self.expecting.take();
                self.in_list = expected;
                if expected.is_none() {
                    self.expecting = self.after_keyword(word.text);
                }
                word.text.clone_into(&mut self.previous);
                expected
            }
        }
    }

    fn symbol(&mut self, symbol: &str) {
        match symbol {
            "(" => self.depth += 1,
            ")" => self.depth = self.depth.saturating_sub(1),
            "," if self.depth == 0 => self.expecting = self.in_list,
            ";" => *self = Self::default(),
            _ => {}
        }
    }

    fn after_keyword(&self, word: &str) -> Option<Named> {
        match (self.previous.as_str(), word) {
            // `SET name TO value` sets a parameter, it names no role.
            (_, "TO") if !self.previous.is_empty() => Some(Named::Role),
            (_, "FROM") | ("SESSION", "AUTHORIZATION") => Some(Named::Role),
            ("FOR" | "ALTER", "ROLE") | ("MAPPING", "FOR") => Some(Named::Role),
            (_, "DATABASE") => Some(Named::Database),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Space,
    Name,
    Literal,
    Symbol,
}

struct Word<'a> {
    kind: Kind,
    text: &'a str,
}

impl Word<'_> {
    /// Returns the name this word spells.
    fn name(&self) -> Option<String> {
        if self.kind != Kind::Name {
            return None;
        }
        let quoted = self.text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Some(quoted.map_or_else(|| self.text.to_owned(), |text| text.replace("\"\"", "\"")))
    }
}

struct Words<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let first = self.rest.chars().next()?;
        let (kind, length) = match first {
            c if c.is_whitespace() => (Kind::Space, while_true(self.rest, char::is_whitespace)),
            '"' => (Kind::Name, quoted(self.rest, '"', false)),
            '\'' => (Kind::Literal, quoted(self.rest, '\'', false)),
            'E' if self.rest.starts_with("E'") => {
                (Kind::Literal, 1 + quoted(self.rest.get(1..)?, '\'', true))
            }
            c if c.is_alphanumeric() || c == '_' => (
                Kind::Name,
                while_true(self.rest, |c| c.is_alphanumeric() || matches!(c, '_' | '$')),
            ),
            c => (Kind::Symbol, c.len_utf8()),
        };
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(Word { kind, text })
    }
}

fn while_true(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// Length of a quoted run that starts `text`; doubled quotes belong to it.
fn quoted(text: &str, quote: char, backslash: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if backslash && c == '\\' {
            chars.next();
        } else if c == quote {
            if chars.peek().is_none_or(|(_, next)| *next != quote) {
                return at + quote.len_utf8();
            }
            chars.next();
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(sql: &str) -> String {
        replace_names(sql, |named, name| match (named, name) {
            (Named::Role, "alice") => Some("bob".into()),
            (Named::Role, "a \"b\"") => Some("x".into()),
            (Named::Database, "shop") => Some("copy".into()),
            _ => None,
        })
    }

    #[test]
    fn grants_are_rewritten_and_objects_are_not() {
        assert_eq!(
            renamed(
                "GRANT SELECT(alice),UPDATE(b) ON TABLE public.alice TO alice WITH GRANT OPTION;\n"
            ),
            "GRANT SELECT(alice),UPDATE(b) ON TABLE public.alice TO \"bob\" WITH GRANT OPTION;\n"
        );
        assert_eq!(
            renamed(
                "REVOKE ALL ON SCHEMA alice FROM PUBLIC;REVOKE ALL ON SCHEMA \"to\" FROM \"a \"\"b\"\"\";"
            ),
            "REVOKE ALL ON SCHEMA alice FROM PUBLIC;REVOKE ALL ON SCHEMA \"to\" FROM \"x\";"
        );
        assert_eq!(
            renamed(
                "SET SESSION AUTHORIZATION alice;\nGRANT ALL ON TABLE t TO c;\nRESET SESSION AUTHORIZATION;"
            ),
            "SET SESSION AUTHORIZATION \"bob\";\nGRANT ALL ON TABLE t TO c;\nRESET SESSION AUTHORIZATION;"
        );
    }

    #[test]
    fn default_privileges_policies_and_mappings_are_rewritten() {
        assert_eq!(
            renamed(
                "ALTER DEFAULT PRIVILEGES FOR ROLE alice IN SCHEMA s GRANT ALL ON TABLES  TO c;"
            ),
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"bob\" IN SCHEMA s GRANT ALL ON TABLES  TO c;"
        );
        assert_eq!(
            renamed(
                "CREATE POLICY p ON s.t FOR SELECT TO c, alice USING ((name = 'alice'::text));"
            ),
            "CREATE POLICY p ON s.t FOR SELECT TO c, \"bob\" USING ((name = 'alice'::text));"
        );
        assert_eq!(
            renamed("CREATE USER MAPPING FOR alice SERVER s OPTIONS (\n    user 'alice'\n);"),
            "CREATE USER MAPPING FOR \"bob\" SERVER s OPTIONS (\n    user 'alice'\n);"
        );
    }

    #[test]
    fn the_database_is_renamed_and_settings_are_kept() {
        assert_eq!(
            renamed(
                "ALTER DATABASE shop SET search_path TO 'alice', 'b';\nALTER ROLE alice IN DATABASE shop SET work_mem TO '1MB';"
            ),
            "ALTER DATABASE \"copy\" SET search_path TO 'alice', 'b';\nALTER ROLE \"bob\" IN DATABASE \"copy\" SET work_mem TO '1MB';"
        );
    }

    #[test]
    fn grants_in_a_hosts_name_are_left_to_the_host() {
        let sql = "GRANT SELECT ON TABLE t TO a;\nSET SESSION AUTHORIZATION host_admin;\n\
             GRANT SELECT ON TABLE t TO b;\nRESET SESSION AUTHORIZATION;\n\
             SET SESSION AUTHORIZATION \"my role\";\nGRANT SELECT ON TABLE t TO c;\n\
             RESET SESSION AUTHORIZATION;\n";
        assert_eq!(
            in_own_name(sql, |role| role == "host_admin"),
            "GRANT SELECT ON TABLE t TO a;\nGRANT SELECT ON TABLE t TO c;\n"
        );
    }

    #[test]
    fn a_triggers_function_is_found_behind_its_condition() {
        let called =
            |sql: &str| function_called(sql).map(|(schema, name)| format!("{schema}|{name}"));
        let sql = "CREATE TRIGGER \"EXECUTE x.y\" AFTER UPDATE ON auth.users FOR EACH ROW \
             WHEN ((new.a = 'EXECUTE'::text)) EXECUTE FUNCTION \"my app\".handle('a', 'b');";
        assert_eq!(called(sql).as_deref(), Some("my app|handle"));
        let event = "CREATE EVENT TRIGGER w ON ddl_command_end\n   WHEN TAG IN ('CREATE TABLE')\n   \
             EXECUTE FUNCTION extensions.w();\n\nALTER EVENT TRIGGER w DISABLE;";
        assert_eq!(called(event).as_deref(), Some("extensions|w"));
        assert_eq!(called("CREATE TABLE t ();"), None);
    }

    #[test]
    fn roles_are_listed() {
        let sql = "GRANT ALL ON TABLE t TO a;GRANT ALL ON TABLE t TO PUBLIC;REVOKE ALL ON TABLE t FROM \"b c\";";
        assert_eq!(roles_in(sql), ["a", "b c"]);
        assert_eq!(roles_in("COMMENT ON DATABASE x IS E'it\\'s TO b';"), Vec::<String>::new());
    }
}
