//! What its owner wants kept, in numbers and in words.

use std::fmt;
use std::str::FromStr;

use backup_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::Period;

/// How many snapshots to keep of each sort. A count of zero means "no such rule"; a policy
/// without any rule keeps everything.
///
/// In text: `7 daily, 4 weekly, 12 monthly`, `last 3, within 14d`, `everything`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Policy {
    /// The newest so many.
    pub last: u32,
    /// One for each of the newest so many hours that have any.
    pub hourly: u32,
    /// One for each of the newest so many days that have any.
    pub daily: u32,
    /// One for each of the newest so many ISO weeks that have any.
    pub weekly: u32,
    /// One for each of the newest so many months that have any.
    pub monthly: u32,
    /// One for each of the newest so many years that have any.
    pub yearly: u32,
    /// All of this length of time, counted back from the newest snapshot.
    pub within: Option<Period>,
}

/// A sort of rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The newest so many.
    Last,
    /// One an hour.
    Hourly,
    /// One a day.
    Daily,
    /// One an ISO week.
    Weekly,
    /// One a month.
    Monthly,
    /// One a year.
    Yearly,
    /// All of the latest length of time.
    Within,
}

impl Rule {
    /// Returns the word used in policies and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
            Self::Within => "within",
        }
    }
}

const NONE: Policy =
    Policy { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, within: None };

impl Policy {
    /// Keeps everything.
    pub const EVERYTHING: Self = NONE;

    /// The preset `7 daily, 4 weekly, 12 monthly`.
    pub const STANDARD: Self = Self { daily: 7, weekly: 4, monthly: 12, ..NONE };

    /// The preset `30 daily, 12 monthly`.
    pub const EXTENDED: Self = Self { daily: 30, monthly: 12, ..NONE };

    /// The presets by name.
    pub const PRESETS: [(&'static str, Self); 2] =
        [("standard", Self::STANDARD), ("extended", Self::EXTENDED)];

    /// Returns whether it has no rule, which keeps everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == NONE
    }

    /// Returns the counted rules that are set, finest first.
    pub fn counts(&self) -> impl Iterator<Item = (Rule, u32)> {
        [
            (Rule::Last, self.last),
            (Rule::Hourly, self.hourly),
            (Rule::Daily, self.daily),
            (Rule::Weekly, self.weekly),
            (Rule::Monthly, self.monthly),
            (Rule::Yearly, self.yearly),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.pad("everything");
        }
        let mut items: Vec<String> = self
            .counts()
            .map(|(rule, count)| match rule {
                Rule::Last => format!("last {count}"),
                _ => format!("{count} {}", rule.as_str()),
            })
            .collect();
        items.extend(self.within.map(|period| format!("within {period}")));
        f.pad(&items.join(", "))
    }
}

impl From<Policy> for String {
    fn from(policy: Policy) -> Self {
        policy.to_string()
    }
}

impl TryFrom<String> for Policy {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl FromStr for Policy {
    type Err = Error;

    /// Parses what `Display` prints, a preset's name, and the flag spelling
    /// (`keep-daily 7`, `keep-daily=7`); each rule may appear once.
    fn from_str(text: &str) -> Result<Self> {
        let whole = text.trim();
        if whole.eq_ignore_ascii_case("everything") {
            return Ok(NONE);
        }
        if let Some((_, preset)) = Self::PRESETS.iter().find(|(name, _)| *name == whole) {
            return Ok(*preset);
        }
        let mut policy = NONE;
        let mut seen = Vec::new();
        for item in whole.split(',') {
            let (rule, value) = parse_item(item).ok_or_else(|| invalid(text, item))?;
            if seen.contains(&rule) {
                return Err(
                    invalid(text, item).because(format!("{} is given twice", rule.as_str()))
                );
            }
            seen.push(rule);
            policy.set(rule, &value).map_err(|error| invalid(text, item).because(error))?;
        }
        Ok(policy)
    }
}

impl Policy {
    fn set(
        &mut self,
        rule: Rule,
        value: &str,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let count = match rule {
            Rule::Within => {
                self.within = Some(value.parse::<Period>()?).filter(|p| p.as_secs() > 0);
                return Ok(());
            }
            Rule::Last => &mut self.last,
            Rule::Hourly => &mut self.hourly,
            Rule::Daily => &mut self.daily,
            Rule::Weekly => &mut self.weekly,
            Rule::Monthly => &mut self.monthly,
            Rule::Yearly => &mut self.yearly,
        };
        *count = value.parse()?;
        Ok(())
    }
}

/// Takes `7 daily`, `last 3`, `within 1h 30m`, `keep-daily=7` apart.
fn parse_item(item: &str) -> Option<(Rule, String)> {
    let item = item.trim().to_ascii_lowercase().replace('=', " ");
    let item = item.strip_prefix("keep-").or_else(|| item.strip_prefix("keep ")).unwrap_or(&item);
    let words: Vec<&str> = item.split_whitespace().collect();
    let (first, rest) = words.split_first()?;
    if let Some(rule) = rule_named(first) {
        let good = !rest.is_empty() && (rest.len() == 1 || rule == Rule::Within);
        return good.then(|| (rule, rest.concat()));
    }
    match rest {
        [word] => rule_named(word)
            .filter(|rule| *rule != Rule::Within)
            .map(|rule| (rule, (*first).to_owned())),
        _ => None,
    }
}

fn rule_named(word: &str) -> Option<Rule> {
    [Rule::Last, Rule::Hourly, Rule::Daily, Rule::Weekly, Rule::Monthly, Rule::Yearly, Rule::Within]
        .into_iter()
        .find(|rule| rule.as_str() == word)
}

fn invalid(text: &str, item: &str) -> Error {
    Error::new(ErrorKind::Usage, "parse retention policy")
        .with("policy", text.escape_debug())
        .with("item", item.trim().escape_debug())
        .hint(
            "Write rules such as \"7 daily, 4 weekly, 12 monthly\", \"last 3, within 14d\", \
             or \"everything\".",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_read_as_they_are_named_in_the_documentation() {
        assert_eq!(Policy::STANDARD.to_string(), "7 daily, 4 weekly, 12 monthly");
        assert_eq!(Policy::EXTENDED.to_string(), "30 daily, 12 monthly");
        assert_eq!("standard".parse::<Policy>().unwrap(), Policy::STANDARD);
    }

    #[test]
    fn parses_every_spelling() {
        let all = "last 3, 24 hourly, 7 daily, 4 weekly, 12 monthly, 5 yearly, within 36h";
        assert_eq!(all.parse::<Policy>().unwrap().to_string(), all);
        for text in ["keep-daily 7", "keep-daily=7", "7 daily", "daily 7", "Keep 7 Daily"] {
            let policy: Policy = text.parse().unwrap();
            assert_eq!(policy, Policy { daily: 7, ..Policy::default() }, "{text}");
        }
        assert!("everything".parse::<Policy>().unwrap().is_empty());
        assert!("0 daily".parse::<Policy>().unwrap().is_empty());
    }

    #[test]
    fn names_the_item_that_is_wrong() {
        for (text, item) in [
            ("7 daily, 4 weakly", "4 weakly"),
            ("7 daily, 3 daily", "3 daily"),
            ("seven daily", "seven daily"),
            ("-1 daily", "-1 daily"),
            ("within 3", "within 3"),
            ("14d within", "14d within"),
            ("7 daily,", ""),
            ("", ""),
        ] {
            let error = text.parse::<Policy>().unwrap_err();
            assert!(error.context().contains(&("item", item.to_owned())), "{text}: {error}");
        }
    }
}
