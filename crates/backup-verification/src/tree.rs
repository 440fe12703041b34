//! A restored tree of files, questioned: pure.

use backup_core::port::RestoredTree;
use backup_core::{ByteSize, Evidence};

use super::compare::{Finding, list};

/// Judges a restored tree by what the snapshot states of it; each answer under its stable name.
pub(super) fn judge(wanted: &Evidence, found: &RestoredTree) -> Vec<(&'static str, Finding)> {
    let mut all = vec![
        ("list", listed(wanted, found)),
        ("entries", entries(found)),
        ("others", others(found)),
    ];
    if !found.owners {
        let why = "not compared: owners and devices can only be restored by root";
        all.push(("owners", Finding::Unknown(why.into())));
    }
    all
}

/// The list that was restored is the one whose sum is in the signed manifest.
fn listed(wanted: &Evidence, found: &RestoredTree) -> Finding {
    let Some(tree) = &wanted.tree else {
        return Finding::Unknown("The snapshot does not state what its tree held.".into());
    };
    let listed = &found.listed;
    let count = |tree: &backup_core::TreeEvidence| {
        (tree.files, tree.directories, tree.links, tree.others, tree.bytes)
    };
    if count(tree) != count(listed) {
        return Finding::Different(format!(
            "{} entries with {}, not {} with {}",
            listed.entries(),
            ByteSize(listed.bytes),
            tree.entries(),
            ByteSize(tree.bytes)
        ));
    }
    if tree.fingerprint != listed.fingerprint {
        return Finding::Different("the list has another fingerprint than was signed".into());
    }
    Finding::Equal(format!("{} entries by number and fingerprint", tree.entries()))
}

fn entries(found: &RestoredTree) -> Finding {
    if found.different == 0 {
        let (entries, bytes) = (found.listed.entries(), ByteSize(found.listed.bytes));
        return Finding::Equal(format!("contents and metadata of {entries} entries, {bytes}"));
    }
    Finding::Different(format!("{} differ: {}", found.different, list(&found.differences)))
}

fn others(found: &RestoredTree) -> Finding {
    let listed = found.listed.entries();
    // Without root devices are missing, which is told as a difference where it matters.
    let missing = if found.owners { 0 } else { found.listed.others };
    if found.there <= listed && found.there + missing >= listed {
        return Finding::Equal("nothing else is in the tree".into());
    }
    Finding::Different(format!("{} entries are in the tree, not {listed}", found.there))
}

#[cfg(test)]
mod tests {
    use backup_core::{Fingerprint, TreeEvidence};

    use super::*;

    #[test]
    fn a_tree_is_what_was_signed_or_it_is_told() {
        let tree = TreeEvidence {
            files: 3,
            directories: 1,
            bytes: 9,
            fingerprint: Fingerprint(7),
            ..TreeEvidence::default()
        };
        let wanted = Evidence { tree: Some(tree.clone()), ..Evidence::default() };
        let good = RestoredTree { listed: tree, there: 4, owners: true, ..<_>::default() };
        let bad = |found: RestoredTree| -> Vec<&'static str> {
            let judged = judge(&wanted, &found).into_iter();
            let bad = judged.filter(|(_, finding)| matches!(finding, Finding::Different(_)));
            bad.map(|(name, _)| name).collect()
        };
        assert!(bad(good.clone()).is_empty());
        let other = TreeEvidence { fingerprint: Fingerprint(8), ..good.listed.clone() };
        assert_eq!(bad(RestoredTree { listed: other, ..good.clone() }), ["list"]);
        let fewer = TreeEvidence { files: 2, ..good.listed.clone() };
        assert_eq!(bad(RestoredTree { listed: fewer, there: 3, ..good.clone() }), ["list"]);
        let differences = vec!["a: other contents".to_owned()];
        assert_eq!(bad(RestoredTree { different: 1, differences, ..good.clone() }), ["entries"]);
        assert_eq!(bad(RestoredTree { there: 5, ..good.clone() }), ["others"]);
        assert_eq!(bad(RestoredTree { there: 3, ..good }), ["others"]);
    }
}
