//! The environment as a value.

use std::collections::BTreeMap;
use std::fmt;

use backup_core::{Error, ErrorKind, Result};

/// Variables by name. An empty value counts as unset, as `VAR=` in a container's settings means.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
    unreadable: Vec<String>,
}

impl fmt::Debug for Environment {
    /// Shows names only: any value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Environment {
    /// Reads the environment of this process; the only place that does. Values that are not
    /// UTF-8 are errors where they are used.
    #[must_use]
    pub fn from_process() -> Self {
        let mut environment = Self::default();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => environment.set(name, value),
                Err(_) => environment.unreadable.push(name),
            }
        }
        environment
    }

    /// Creates an environment of these variables.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut environment = Self::default();
        for (name, value) in pairs {
            environment.set(name.into(), value.into());
        }
        environment
    }

    fn set(&mut self, name: String, value: String) {
        if !value.is_empty() {
            self.values.insert(name, value);
        }
    }

    /// Returns a variable's value; absent when unset or empty, an error when it is not text.
    pub fn get(&self, name: &str) -> Result<Option<&str>> {
        if self.unreadable.iter().any(|unreadable| unreadable == name) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "read environment variable")
                .with("variable", name)
                .because("its value is not UTF-8")
                .hint("Set it to text, or put the value into a file and name that."));
        }
        Ok(self.values.get(name).map(String::as_str))
    }

    /// Returns the names that are set, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Parses a variable that is no secret; an unusable value is an error that names it.
    pub(crate) fn parse<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        parse(value.trim()).map(Some).map_err(|error| {
            let hint = error.remedy().map(str::to_owned);
            let outer = Error::new(ErrorKind::ConfigInvalid, "use environment variable")
                .with("variable", name);
            let outer = match hint {
                Some(hint) => outer.hint(hint),
                None => outer,
            };
            outer.because(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_unset_and_values_are_not_shown() {
        let environment = Environment::from_pairs([("A", ""), ("B", "hunter2")]);
        assert_eq!(environment.get("A").unwrap(), None);
        assert_eq!(environment.get("B").unwrap(), Some("hunter2"));
        assert_eq!(format!("{environment:?}"), "{\"B\"}");
    }
}
