//! Which of a tree is backed up. Pure.

use backup_core::{Error, ErrorKind, Result};
use fast_glob::glob_match;

/// What of a tree is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only files that one of these names, or that are below a directory that one names (empty:
    /// all).
    pub include: Vec<Pattern>,
    /// What one of these names is left out, with everything below.
    pub exclude: Vec<Pattern>,
    /// Of a directory that holds a file of such a name, only that file is kept.
    pub markers: Vec<String>,
    /// Stay on the file system of the root.
    pub one_file_system: bool,
}

/// A pattern for paths.
///
/// With a `/` that is not its last character it is held against the whole path below the root,
/// without one against the last name; with a `/` at its end it means directories only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    glob: String,
    whole: bool,
    directory: bool,
}

impl Pattern {
    /// Parses a pattern; `ConfigInvalid` for one that can never match.
    pub fn parse(text: &str) -> Result<Self> {
        let directory = text.ends_with('/');
        let body = text.trim_end_matches('/');
        let whole = body.contains('/');
        let glob = body.trim_start_matches('/').to_owned();
        let valid = fast_glob::validate(&glob).map_err(|error| format!("{error:?}"));
        let problem = match valid {
            _ if glob.is_empty() => Some("it is empty".to_owned()),
            Err(problem) => Some(problem),
            Ok(()) => None,
        };
        match problem {
            None => Ok(Self { glob, whole, directory }),
            Some(problem) => Err(Error::new(ErrorKind::ConfigInvalid, "parse pattern of paths")
                .with("pattern", text.escape_debug())
                .because(problem)
                .hint("Write a pattern such as `*.tmp`, `cache/`, `var/log/**` or `{a,b}/*`.")),
        }
    }

    /// Parses several; the first that cannot be is the error.
    pub fn parse_all<T: AsRef<str>>(texts: &[T]) -> Result<Vec<Self>> {
        texts.iter().map(|text| Self::parse(text.as_ref())).collect()
    }

    /// Returns whether it names that path.
    #[must_use]
    pub fn names(&self, path: &[u8], is_directory: bool) -> bool {
        if self.directory && !is_directory {
            return false;
        }
        let subject = if self.whole { path } else { crate::entry::split(path).1 };
        glob_match(self.glob.as_bytes(), subject)
    }
}

impl Selection {
    /// Returns whether a path is left out, with what is below it.
    #[must_use]
    pub fn leaves_out(&self, path: &[u8], is_directory: bool) -> bool {
        self.exclude.iter().any(|pattern| pattern.names(path, is_directory))
    }

    /// Returns whether one of the patterns of `include` names a path, or there is none.
    #[must_use]
    pub fn takes(&self, path: &[u8], is_directory: bool) -> bool {
        self.include.is_empty()
            || self.include.iter().any(|pattern| pattern.names(path, is_directory))
    }
}

/// What of a snapshot is restored: everything, or what paths and patterns name.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    wishes: Vec<Wish>,
    /// The directory that was named last, so that what is below it is wanted too.
    inside: Option<Vec<u8>>,
}

/// A path or pattern that was asked for.
#[derive(Clone, Debug)]
struct Wish {
    text: String,
    literal: Vec<u8>,
    pattern: Option<Pattern>,
    /// It named something.
    fulfilled: bool,
}

impl Wanted {
    /// Takes paths or patterns; none means everything.
    pub fn new(paths: &[String]) -> Result<Self> {
        let parse = |text: &String| {
            let literal = text.trim_matches('/').as_bytes().to_vec();
            let pattern = match Pattern::parse(text) {
                Ok(pattern) => Some(pattern),
                // A path that is typed as it is must be found, even if it reads as no pattern.
                Err(_) if !literal.is_empty() => None,
                Err(error) => return Err(error),
            };
            Ok(Wish { text: text.clone(), literal, pattern, fulfilled: false })
        };
        Ok(Self { wishes: paths.iter().map(parse).collect::<Result<_>>()?, inside: None })
    }

    /// Returns whether everything is wanted.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.wishes.is_empty()
    }

    /// Returns whether an entry is wanted; ask in the order of the tree.
    pub fn takes(&mut self, path: &[u8], is_directory: bool) -> bool {
        if self.is_all() {
            return true;
        }
        let inside = self.inside.as_ref();
        let inside = inside.is_some_and(|directory| crate::entry::is_below(path, directory));
        let mut named = false;
        // What is wanted anyway may be what another wish is for.
        for wish in self.wishes.iter_mut().filter(|wish| !inside || !wish.fulfilled) {
            let pattern = wish.pattern.as_ref();
            if wish.literal == path || pattern.is_some_and(|found| found.names(path, is_directory))
            {
                wish.fulfilled = true;
                named = true;
            }
        }
        if named && is_directory && !inside {
            self.inside = Some(path.to_vec());
        }
        named || inside
    }

    /// Fails with `NotFound` where a path or pattern has named nothing; ask at the end.
    pub fn check_fulfilled(&self) -> Result<()> {
        let names: Vec<&str> = self.unfulfilled().collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, "find in snapshot")
            .with("paths", names.join(", "))
            .hint("`backupctl ls SNAPSHOT` lists its files; paths begin below its root."))
    }

    /// Returns those paths and patterns that have named nothing so far.
    fn unfulfilled(&self) -> impl Iterator<Item = &str> {
        let open = self.wishes.iter().filter(|wish| !wish.fulfilled);
        open.map(|wish| wish.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str, path: &str, directory: bool) -> bool {
        Pattern::parse(pattern).unwrap().names(path.as_bytes(), directory)
    }

    #[test]
    fn patterns_mean_names_or_paths() {
        assert!(names("*.tmp", "a/b/c.tmp", false));
        assert!(!names("*.tmp", "a/b.tmp/c", false));
        assert!(names("a/*.tmp", "a/b.tmp", false) && !names("a/*.tmp", "x/a/b.tmp", false));
        assert!(names("/cache", "cache", true) && !names("/cache", "a/cache", true));
        assert!(names("cache/", "a/cache", true) && !names("cache/", "a/cache", false));
        assert!(names("**/log/**", "a/log/x/y", false));
        assert!(Pattern::parse("a{b").is_err() && Pattern::parse("/").is_err());
        let odd = Pattern::parse("*.x").unwrap();
        assert!(odd.names(b"a/\xff\xfe.x", false), "names need not be text");
    }

    #[test]
    fn what_is_below_a_wanted_directory_is_wanted() {
        let mut wanted =
            Wanted::new(&["photos/2024".into(), "*.md".into(), "odd[".into()]).unwrap();
        let taken: Vec<&str> = [
            ("", true),
            ("odd[", false),
            ("photos", true),
            ("photos/2023", true),
            ("photos/2024", true),
            ("photos/2024/a.jpg", false),
            ("photos/2024b", true),
            ("x/README.md", false),
        ]
        .into_iter()
        .filter(|(path, directory)| wanted.takes(path.as_bytes(), *directory))
        .map(|(path, _)| path)
        .collect();
        assert_eq!(taken, ["odd[", "photos/2024", "photos/2024/a.jpg", "x/README.md"]);
        assert_eq!(wanted.unfulfilled().count(), 0);
        assert!(Wanted::new(&[]).unwrap().is_all());
    }

    #[test]
    fn wishes_that_named_nothing_are_told() {
        let paths = ["a", "a/b", "*.x", "no/such", "*.y/"].map(String::from);
        let mut wanted = Wanted::new(&paths).unwrap();
        for (path, directory) in [("a", true), ("a/b", true), ("a/b/c.x", false), ("d.y", false)] {
            assert_eq!(wanted.takes(path.as_bytes(), directory), path != "d.y", "{path}");
        }
        assert_eq!(wanted.unfulfilled().collect::<Vec<_>>(), ["no/such", "*.y/"]);
    }
}
