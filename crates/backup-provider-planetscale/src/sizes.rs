//! Which cluster a backup fits into.

use crate::answers::Size;

/// Returns the smallest size that the data fits into: one of those that say how much they hold, with
/// a quarter to spare, and are of the same machines as the source's, or the largest that the source
/// itself has, which holds it by its own word.
/// Without a known size of the data it is the source's.
pub(crate) fn smallest(known: &[Size], own: &[String], bytes: Option<u64>) -> Option<String> {
    let source = largest(known, own);
    let its = source.and_then(|name| known.iter().find(|size| size.name == *name));
    let needed = bytes.map(|bytes| bytes.saturating_add(bytes / 4));
    let fits = |size: &&Size| {
        let room = size.storage.zip(needed).is_some_and(|(storage, needed)| storage >= needed);
        let alike = its
            .is_some_and(|its| size.sort_order < its.sort_order && machine(size) == machine(its));
        size.enabled && size.production && room && alike
    };
    let smaller = known.iter().filter(fits).min_by_key(|size| size.sort_order);
    smaller.map(|size| size.name.clone()).or_else(|| source.cloned())
}

/// Returns the largest of the source's own sizes.
pub(crate) fn largest<'a>(known: &[Size], own: &'a [String]) -> Option<&'a String> {
    let of = |name: &String| known.iter().find(|size| size.name == *name);
    own.iter().max_by_key(|name| of(name).map(|size| size.sort_order))
}

/// What a restore may not change besides the size.
fn machine(size: &Size) -> (bool, Option<&str>, Option<&str>) {
    (size.metal, size.provider.as_deref(), size.architecture.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(name: &str, storage: Option<u64>, sort_order: i64) -> Size {
        let name = name.into();
        let (metal, provider, architecture) = (false, Some("AWS".into()), Some("arm64".into()));
        let (enabled, production) = (true, true);
        Size { name, storage, enabled, production, sort_order, metal, provider, architecture }
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
        // What is of other machines than the source's is none to choose.
        for change in [
            |size: &mut Size| size.metal = true,
            |size: &mut Size| size.provider = Some("GCP".into()),
            |size: &mut Size| size.architecture = None,
        ] {
            let mut other = known.clone();
            change(&mut other[1]);
            assert_eq!(chosen(&other, Some(8)), "L");
        }
        assert_eq!(chosen(&[], Some(1)), "L");
        // Of several keyspaces the largest, since one size is for all of them.
        let two = ["M".to_owned(), "L".to_owned()];
        assert_eq!(smallest(&known, &two, None).unwrap(), "L");
        assert_eq!(smallest(&known, &[], Some(1)), None);
    }
}
