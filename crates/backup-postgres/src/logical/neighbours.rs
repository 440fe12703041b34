//! Names that are near an unknown one.

use std::collections::BTreeSet;

use backup_core::{Error, ErrorKind};

/// Names suggested for an unknown one.
const SUGGESTIONS: usize = 5;

/// Says that a name matches nothing, with the nearest that would.
pub(crate) fn unknown(what: &'static str, wanted: &str, names: BTreeSet<String>) -> Error {
    let mut near: Vec<(usize, String)> =
        names.into_iter().map(|name| (distance(wanted, &name), name)).collect();
    near.sort();
    let close: Vec<String> = near.into_iter().take(SUGGESTIONS).map(|(_, name)| name).collect();
    let hint = if close.is_empty() {
        format!("The snapshot holds no {what}.")
    } else {
        format!("The nearest names in the snapshot are: {}.", close.join(", "))
    };
    Error::new(ErrorKind::NotFound, format!("find {what} in snapshot"))
        .with(what, wanted)
        .hint(hint)
}

/// Edits between two names, case aside; a missing schema in front costs nothing.
fn distance(wanted: &str, name: &str) -> usize {
    let wanted = wanted.to_lowercase();
    let name = name.to_lowercase();
    let table = name.rsplit_once('.').map_or(name.as_str(), |(_, table)| table);
    edits(&wanted, &name).min(edits(&wanted, table))
}

fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            let best = (diagonal + usize::from(from != *to)).min(above + 1).min(left + 1);
            diagonal = above;
            left = best;
            *cell = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first() {
        let names = ["public.customers", "public.orders", "sales.order_items"];
        let error = unknown("table", "ordres", names.map(str::to_owned).into());
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.remedy().unwrap().contains("are: public.orders,"), "{error:?}");
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
    }
}
