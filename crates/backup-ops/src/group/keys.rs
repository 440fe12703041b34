//! Is every file there that a database refers to?
//!
//! Keys come out of the restored database in any order and any number. Up to a million at a time is
//! held, sorted, and the stored list of files is read once for each such load: memory is bounded
//! by a load, whatever the number of keys and files.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{ColumnSink, Holdings};
use backup_core::{Result, SourceName};

/// Bytes of keys that are held at once, and their number: together at most some 80 MiB.
const LOAD_BYTES: usize = 32 << 20;
const LOAD_KEYS: usize = 1 << 20;

/// How many of the missing keys are named.
const NAMED: usize = 5;

/// What to ask of a restored database about the files of its set.
#[derive(Clone)]
pub struct KeyQuestion {
    /// The member that holds the files.
    pub files: SourceName,
    /// A statement that returns their names in one column.
    pub sql: String,
    /// Taken off the beginning of each that begins with it.
    pub strip_prefix: String,
    /// Then put before each.
    pub add_prefix: String,
    /// Whether no key at all is well.
    pub allow_empty: bool,
    /// The files of that member's snapshot in the same set.
    pub holdings: Arc<dyn Holdings>,
}

/// What became of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyAnswer {
    /// Keys that were looked for.
    pub keys: u64,
    /// Rows without one.
    pub nulls: u64,
    /// How many of the keys have no file.
    pub missing: u64,
    /// The first of those, by name.
    pub first: Vec<String>,
}

/// Takes keys and looks for them.
pub(crate) struct KeyCheck<'a> {
    question: &'a KeyQuestion,
    load: Load,
    most: (usize, usize),
    answer: KeyAnswer,
    first: BTreeSet<Vec<u8>>,
}

impl<'a> KeyCheck<'a> {
    pub(crate) fn new(question: &'a KeyQuestion) -> Self {
        Self {
            question,
            load: Load::default(),
            most: (LOAD_BYTES, LOAD_KEYS),
            answer: KeyAnswer::default(),
            first: BTreeSet::new(),
        }
    }

    /// Looks for what is held, and returns what became of all.
    pub(crate) async fn finish(mut self) -> Result<KeyAnswer> {
        self.look().await?;
        let first =
            self.first.iter().map(|key| String::from_utf8_lossy(key).escape_debug().to_string());
        self.answer.first = first.collect();
        Ok(self.answer)
    }

    fn add(&mut self, key: &[u8]) {
        let question = self.question;
        let rest = key.strip_prefix(question.strip_prefix.as_bytes()).unwrap_or(key);
        self.answer.keys += 1;
        self.load.add(question.add_prefix.as_bytes(), rest);
    }

    async fn look(&mut self) -> Result<()> {
        if self.load.keys.is_empty() {
            return Ok(());
        }
        let load = std::mem::take(&mut self.load);
        let mut sorted = load.sorted();
        self.question.holdings.each_file(&mut |name| sorted.found(name)).await?;
        for key in sorted.missing() {
            self.answer.missing += 1;
            if self.first.len() < NAMED
                || self.first.last().is_some_and(|last| key < last.as_slice())
            {
                self.first.insert(key.to_vec());
                if self.first.len() > NAMED {
                    self.first.pop_last();
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl ColumnSink for KeyCheck<'_> {
    async fn take(&mut self, values: Vec<Option<Vec<u8>>>) -> Result<()> {
        for value in values {
            match value {
                Some(key) => self.add(&key),
                None => self.answer.nulls += 1,
            }
            if self.load.bytes.len() >= self.most.0 || self.load.keys.len() >= self.most.1 {
                self.look().await?;
            }
        }
        Ok(())
    }
}

/// Keys in the order in which they came.
#[derive(Default)]
struct Load {
    bytes: Vec<u8>,
    keys: Vec<Range<usize>>,
}

impl Load {
    fn add(&mut self, prefix: &[u8], rest: &[u8]) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(prefix);
        self.bytes.extend_from_slice(rest);
        self.keys.push(begin..self.bytes.len());
    }

    fn sorted(self) -> Sorted {
        let Self { bytes, mut keys } = self;
        keys.sort_unstable_by(|a, b| bytes.get(a.clone()).cmp(&bytes.get(b.clone())));
        let there = vec![false; keys.len()];
        Sorted { bytes, keys, there }
    }
}

/// Keys by their bytes, and which of them were found.
struct Sorted {
    bytes: Vec<u8>,
    keys: Vec<Range<usize>>,
    there: Vec<bool>,
}

impl Sorted {
    fn found(&mut self, name: &[u8]) {
        let key = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        let from = self.keys.partition_point(|range| key(range) < name);
        let same = self.keys.iter().skip(from).take_while(|range| key(range) == name).count();
        if let Some(there) = self.there.get_mut(from..from + same) {
            there.fill(true);
        }
    }

    fn missing(&self) -> impl Iterator<Item = &[u8]> {
        let absent = self.keys.iter().zip(&self.there).filter(|(_, there)| !**there);
        absent.filter_map(|(range, _)| self.bytes.get(range.clone()))
    }
}

impl KeyAnswer {
    /// Returns whether nothing is missing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing == 0
    }

    /// Says what was found, in a sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        let nulls = match self.nulls {
            0 => String::new(),
            nulls => format!(", {nulls} rows have none"),
        };
        if self.is_whole() {
            return format!("{} keys, a file for each{nulls}", self.keys);
        }
        let more = if self.missing > self.first.len() as u64 { ", …" } else { "" };
        format!(
            "{} of {} keys have no file: {}{more}{nulls}",
            self.missing,
            self.keys,
            self.first.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Names(Vec<Vec<u8>>);

    #[async_trait]
    impl Holdings for Names {
        async fn each_file(&self, visit: &mut (dyn for<'n> FnMut(&'n [u8]) + Send)) -> Result<()> {
            self.0.iter().for_each(|name| visit(name));
            Ok(())
        }
    }

    async fn asked(names: &[Vec<u8>], keys: &[Option<Vec<u8>>], most: usize) -> KeyAnswer {
        let question = KeyQuestion {
            files: "uploads".parse().unwrap(),
            sql: String::new(),
            strip_prefix: "/m/".into(),
            add_prefix: String::new(),
            allow_empty: false,
            holdings: Arc::new(Names(names.to_vec())),
        };
        let mut check = KeyCheck::new(&question);
        check.most = (1 << 20, most);
        for some in keys.chunks(3) {
            check.take(some.to_vec()).await.unwrap();
        }
        check.finish().await.unwrap()
    }

    fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    #[tokio::test]
    async fn what_is_missing_is_counted_and_named() {
        let names = bytes(&["a/1.jpg", "a/2.jpg", "b"]);
        let keys = ["/m/a/1.jpg", "/m/a/2.jpg", "/m/z\n", "/m/a/1.jpg", "c", "c"];
        let mut keys: Vec<_> = bytes(&keys).into_iter().map(Some).collect();
        keys.push(None);
        let answer = asked(&names, &keys, 2).await;
        assert_eq!((answer.keys, answer.nulls, answer.missing), (6, 1, 3));
        assert_eq!(answer.describe(), "3 of 6 keys have no file: c, z\\n, …, 1 rows have none");
        let whole = asked(&names, &keys[..2], 100).await;
        assert_eq!(whole.describe(), "2 keys, a file for each");
    }

    proptest! {
        #[test]
        fn loads_of_any_size_find_the_same(
            names in prop::collection::btree_set("[ab/]{1,3}", 0..12),
            keys in prop::collection::vec(prop::option::weighted(0.9, "[ab/]{0,3}"), 0..40),
            most in 1..10_usize,
        ) {
            let names: Vec<Vec<u8>> = names.into_iter().map(String::into_bytes).collect();
            let keys: Vec<Option<Vec<u8>>> =
                keys.into_iter().map(|key| key.map(String::into_bytes)).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let answer = runtime.block_on(asked(&names, &keys, most));
            let given: Vec<&Vec<u8>> = keys.iter().flatten().collect();
            let absent = given.iter().filter(|key| !names.contains(**key));
            prop_assert_eq!(answer.missing, absent.count() as u64);
            prop_assert_eq!(answer.keys, given.len() as u64);
            prop_assert_eq!(answer.nulls as usize, keys.len() - given.len());
        }
    }
}
