//! Which recovery set is meant.

use backup_core::{Error, ErrorKind, Result, SourceName};

use super::{RecoverySet, SetState, newest};
use crate::select::{Selector, Which};

/// Returns the set that a selector means; nothing where it means no group that has sets here.
/// `known` says which names are sources: those are no groups.
///
/// `latest`, the bare name and times mean complete sets only, without a suspect member; digits
/// mean any. `NotFound` where the group has none such, `Usage` where digits mean several.
pub fn pick<'a>(
    sets: &'a [RecoverySet],
    selector: &Selector,
    known: impl Fn(&SourceName) -> bool,
) -> Result<Option<&'a RecoverySet>> {
    let group = match selector {
        Selector::Latest => return Ok(None),
        Selector::LatestOf(name) | Selector::SetOf(name, _) => name.clone(),
        Selector::Prefix(text) => match text.parse() {
            Ok(name) => name,
            Err(_) => return Ok(None),
        },
    };
    let own: Vec<&RecoverySet> = sets.iter().filter(|set| set.group == group).collect();
    if known(&group) || own.is_empty() {
        return Ok(None);
    }
    let found = match selector {
        Selector::SetOf(_, Which::Prefix(digits)) => {
            let fits = |set: &&&RecoverySet| set.id.to_string().starts_with(digits);
            match own.iter().filter(fits).collect::<Vec<_>>().as_slice() {
                [] => None,
                [one] => Some(**one),
                many => {
                    let ids: Vec<String> = many.iter().map(|set| set.id.to_string()).collect();
                    return Err(Error::new(ErrorKind::Usage, "find recovery set")
                        .with("set", selector)
                        .hint(format!("Write more digits; it could be {}.", ids.join(", "))));
                }
            }
        }
        Selector::SetOf(_, Which::Before(time)) => {
            let before: Vec<RecoverySet> =
                own.iter().filter(|set| set.begun_at() < *time).map(|set| (*set).clone()).collect();
            let id = newest(&before, &group).map(|set| set.id);
            own.iter().find(|set| Some(set.id) == id).copied()
        }
        _ => newest(sets, &group),
    };
    match found {
        Some(set) => Ok(Some(set)),
        None => Err(Error::new(ErrorKind::NotFound, "find recovery set")
            .with("set", selector)
            .with("group", &group)
            .hint(format!(
                "There is no such complete set; `backupctl snapshots {group}` lists what there \
                 is. Times and `latest` pass over incomplete and suspect ones."
            ))),
    }
}

/// Refuses a set that is not all there: `Conflict`, naming what is missing.
pub fn demand_complete(set: &RecoverySet) -> Result<()> {
    if set.state() != SetState::Incomplete {
        return Ok(());
    }
    let names: Vec<&str> = set.missing().into_iter().map(SourceName::as_str).collect();
    Err(Error::new(ErrorKind::Conflict, "use recovery set")
        .with("group", &set.group)
        .with("set", set.id.short())
        .with("missing", names.join(", "))
        .because("the set is incomplete")
        .hint(format!(
            "Its run did not reach the end, or a snapshot of it was forgotten. Take `{}@latest`, \
             or single snapshots by their ids.",
            set.group
        )))
}
