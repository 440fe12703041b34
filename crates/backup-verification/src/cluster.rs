//! A restored cluster, questioned: pure. A physical snapshot records pages, no rows, so that
//! there is little to compare with and much to look at; what was not compared is said.

use backup_core::port::{Restored, RestoredCluster};

use super::compare::{Finding, list};

/// What is said of everything that a physical snapshot has nothing to compare with.
const NOT_COMPARED: &str = "\
not compared: a physical snapshot records no rows, schema or sequences of its instant; its pages \
were compared with their checksums when they were read, its files with the server's manifest";

/// Judges what a restored cluster says of itself; each answer under its stable name.
pub(super) fn judge(found: &Restored, cluster: &RestoredCluster) -> Vec<(&'static str, Finding)> {
    vec![
        ("databases", databases(found, cluster)),
        ("libraries", libraries(cluster)),
        ("locale", collations(cluster)),
        ("fingerprints", Finding::Unknown(NOT_COMPARED.into())),
    ]
}

fn databases(found: &Restored, cluster: &RestoredCluster) -> Finding {
    if !cluster.closed.is_empty() {
        return Finding::Environment(
            list(&cluster.closed),
            "Install the source's locales on this machine (Debian: locales-all).".into(),
        );
    }
    Finding::Equal(format!(
        "{} rows in {} tables of {} databases were read, and every schema was written",
        found.evidence.rows(),
        found.evidence.tables.len(),
        cluster.databases
    ))
}

fn libraries(cluster: &RestoredCluster) -> Finding {
    if !cluster.missing_libraries.is_empty() {
        return Finding::Environment(
            format!("not on this machine: {}", list(&cluster.missing_libraries)),
            "Install the packages of these extensions, for the server's major version, on this \
             machine; a real restore needs them too."
                .into(),
        );
    }
    Finding::Equal(format!("{} libraries that functions name", cluster.libraries))
}

fn collations(cluster: &RestoredCluster) -> Finding {
    if !cluster.other_collations.is_empty() {
        return Finding::Environment(
            list(&cluster.other_collations),
            "Drill, and restore, where the C library (or ICU) is the source's; or REINDEX what is \
             sorted by these collations after a restore."
                .into(),
        );
    }
    if cluster.collations == 0 {
        return Finding::Unknown("the cluster recorded no version of a collation".into());
    }
    Finding::Equal(format!("{} collations are of the version they were", cluster.collations))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_its_own_fault_and_rows_are_never_claimed() {
        let whole = RestoredCluster { databases: 2, collations: 1, ..RestoredCluster::default() };
        let answers = judge(&Restored::default(), &whole);
        let of = |answers: &[(&str, Finding)], name: &str| {
            answers.iter().find(|(known, _)| *known == name).unwrap().1.clone()
        };
        assert!(matches!(of(&answers, "databases"), Finding::Equal(_)));
        assert!(matches!(of(&answers, "locale"), Finding::Equal(_)));
        assert!(matches!(of(&answers, "fingerprints"), Finding::Unknown(_)));
        let poor = RestoredCluster {
            closed: vec!["shop".into()],
            missing_libraries: vec!["timescaledb".into()],
            other_collations: vec!["de_DE".into()],
            ..whole
        };
        let answers = judge(&Restored::default(), &poor);
        for name in ["databases", "libraries", "locale"] {
            assert!(matches!(of(&answers, name), Finding::Environment(..)), "{name}");
        }
    }
}
