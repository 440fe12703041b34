//! Which cluster a backup fits into.

use crate::answers::Size;

/// Returns the smallest size that the data fits into: one of those that say how much they hold, with
/// a quarter to spare, or the largest that the source itself has, which holds it by its own word.
/// Without a known size of the data it is the source's.
pub(crate) fn smallest(known: &[Size], own: &[String], bytes: Option<u64>) -> Option<String> {
    let place = |name: &String| known.iter().position(|size| size.name == *name);
    let order =
        |name: &String| place(name).and_then(|at| known.get(at)).map(|size| size.sort_order);
    let source = own.iter().max_by_key(|name| order(name));
    let limit = source.and_then(order);
    let needed = bytes.map(|bytes| bytes.saturating_add(bytes / 4));
    let fits = |size: &&Size| {
        let room = size.storage.zip(needed).is_some_and(|(storage, needed)| storage >= needed);
        size.enabled && size.production && room && limit.is_some_and(|most| size.sort_order < most)
    };
    let smaller = known.iter().filter(fits).min_by_key(|size| size.sort_order);
    smaller.map(|size| size.name.clone()).or_else(|| source.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(name: &str, storage: Option<u64>, sort_order: i64) -> Size {
        Size { name: name.into(), storage, enabled: true, production: true, sort_order }
    }

    #[test]
    fn the_smallest_that_fits_is_taken_and_else_the_sources_own() {
        let mut known = vec![
            size("S", Some(10), 1),
            size("M", Some(100), 2),
            size("X", None, 0),
            size("L", None, 3),
        ];
        let own = ["L".to_owned()];
        let chosen = |known: &[Size], bytes| smallest(known, &own, bytes).unwrap();
        assert_eq!(chosen(&known, Some(8)), "S");
        // A quarter to spare; what does not say how much it holds is not counted on.
        assert_eq!(chosen(&known, Some(9)), "M");
        assert_eq!(chosen(&known, Some(90)), "L");
        assert_eq!(chosen(&known, None), "L");
        known[0].enabled = false;
        assert_eq!(chosen(&known, Some(8)), "M");
        assert_eq!(chosen(&[], Some(1)), "L");
        // Of several keyspaces the largest, since one size is for all of them.
        let two = ["M".to_owned(), "L".to_owned()];
        assert_eq!(smallest(&known, &two, None).unwrap(), "L");
        assert_eq!(smallest(&known, &[], Some(1)), None);
    }
}
