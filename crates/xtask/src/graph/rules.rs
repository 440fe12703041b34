//! The rules: which of our crates may see which, what no build may contain, how much a crate may
//! pull in. A new edge starts with an entry in `docs/decisions/`.

use std::collections::BTreeSet;

use super::facts::{Facts, Package};

/// What an embedder of that crate compiles at most, in packages. MySQL's driver is sixteen of the
/// facade's: numbers, dates and compression that its protocol may ask for; Azure, Google and SFTP are
/// sixty, behind features that an embedder leaves out.
pub(super) const BUDGETS: &[(&str, usize)] =
    &[("backup-core", 45), ("backup", 350), ("backupctl", 390), ("backupd", 390)];

/// C libraries that need more than a C compiler, or a second TLS stack.
const BANNED: &[&str] =
    &["aws-lc-sys", "aws-lc-rs", "openssl", "openssl-sys", "native-tls", "boring-sys"];

/// The vocabulary stays free of these, so that a port costs nothing to implement.
const KEPT_OUT_OF_CORE: &[&str] = &["tokio", "reqwest", "hyper", "opendal", "clap", "rustls"];

/// Only programs may use these.
const FOR_PROGRAMS: &[&str] = &["anyhow", "clap"];

/// Where a crate lives in the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ring {
    Words,
    Pure,
    Path,
    Http,
    Adapter,
    Engine,
    Provider,
    Verbs,
    Config,
    Api,
    Facade,
    Test,
    Program,
    Bench,
    Task,
}

const RINGS: &[(&str, Ring)] = &[
    ("backup-core", Ring::Words),
    ("backup-retention", Ring::Pure),
    ("backup-schedule", Ring::Pure),
    ("backup-crypto", Ring::Pure),
    ("backup-repository", Ring::Path),
    ("backup-verification", Ring::Path),
    ("backup-http", Ring::Http),
    ("backup-storage", Ring::Adapter),
    ("backup-notify", Ring::Adapter),
    ("backup-catalog", Ring::Adapter),
    ("backup-traces", Ring::Adapter),
    ("backup-postgres", Ring::Engine),
    ("backup-mysql", Ring::Engine),
    ("backup-files", Ring::Engine),
    ("backup-provider-postgres", Ring::Provider),
    ("backup-provider-mysql", Ring::Provider),
    ("backup-provider-neon", Ring::Provider),
    ("backup-provider-supabase", Ring::Provider),
    ("backup-provider-planetscale", Ring::Provider),
    ("backup-provider-railway", Ring::Provider),
    ("backup-provider-example", Ring::Provider),
    ("backup-ops", Ring::Verbs),
    ("backup-config", Ring::Config),
    ("backup-api", Ring::Api),
    ("backup", Ring::Facade),
    ("backup-testkit", Ring::Test),
    ("backupctl", Ring::Program),
    ("backupd", Ring::Program),
    ("backup-benches", Ring::Bench),
    ("xtask", Ring::Task),
];

/// Every broken rule, as a sentence that names the edge.
pub(super) fn broken(facts: &Facts) -> Vec<String> {
    let mut broken = Vec::new();
    for package in facts.ours() {
        match ring(&package.name) {
            Some(ring) => check_edges(facts, package, ring, &mut broken),
            None => broken.push(format!("{} has no ring; add it to the table", package.name)),
        }
    }
    check_core(facts, &mut broken);
    for banned in names(facts, &facts.reachable()).intersection(&BANNED.iter().copied().collect()) {
        broken.push(format!(
            "{banned} is in the build; find out who pulls it in: cargo tree -i {banned}"
        ));
    }
    for (name, most) in BUDGETS {
        let count = facts.closure(name).len();
        if count > *most {
            broken.push(format!("{name} pulls in {count} packages, {most} is the budget"));
        }
    }
    broken
}

fn check_edges(facts: &Facts, package: &Package, ring: Ring, broken: &mut Vec<String>) {
    for other in package.normal.iter().filter_map(|id| facts.get(id)) {
        if other.ours && !may_see(ring, &other.name) {
            broken.push(format!("{} must not depend on {}", package.name, other.name));
        }
    }
    for other in package.dev.iter().filter_map(|id| facts.get(id)) {
        if other.ours && other.name != "backup-testkit" && !may_see(ring, &other.name) {
            broken.push(format!("tests of {} must not use {}", package.name, other.name));
        }
    }
    let program = matches!(ring, Ring::Program | Ring::Task);
    for other in package.normal.union(&package.dev).filter_map(|id| facts.get(id)) {
        if !program && FOR_PROGRAMS.contains(&other.name.as_str()) {
            broken.push(format!("{} is a library and must not use {}", package.name, other.name));
        }
    }
}

fn check_core(facts: &Facts, broken: &mut Vec<String>) {
    let linked = names(facts, &facts.closure("backup-core"));
    for heavy in linked.intersection(&KEPT_OUT_OF_CORE.iter().copied().collect()) {
        broken.push(format!("backup-core must not pull in {heavy}"));
    }
}

/// The house as edges; what is not here is not allowed.
fn may_see(ring: Ring, other: &str) -> bool {
    let Some(target) = self::ring(other) else { return false };
    match ring {
        Ring::Words => false,
        Ring::Pure | Ring::Http | Ring::Engine | Ring::Test => target == Ring::Words,
        Ring::Path => target == Ring::Words || target == Ring::Path || other == "backup-crypto",
        Ring::Adapter => matches!(target, Ring::Words | Ring::Http),
        Ring::Provider => matches!(target, Ring::Words | Ring::Http | Ring::Engine),
        Ring::Verbs => matches!(target, Ring::Words | Ring::Pure | Ring::Path),
        Ring::Config => matches!(target, Ring::Words | Ring::Pure),
        Ring::Api => matches!(target, Ring::Words | Ring::Verbs),
        Ring::Facade => !matches!(
            target,
            Ring::Facade | Ring::Api | Ring::Test | Ring::Program | Ring::Bench | Ring::Task
        ),
        // A program sees the composition root and the words it prints, never an adapter.
        Ring::Program => {
            matches!(target, Ring::Facade | Ring::Words | Ring::Config | Ring::Api)
        }
        Ring::Bench => !matches!(target, Ring::Program | Ring::Task),
        Ring::Task => target == Ring::Test,
    }
}

fn ring(name: &str) -> Option<Ring> {
    RINGS.iter().find(|(known, _)| *known == name).map(|(_, ring)| *ring)
}

fn names<'a>(facts: &'a Facts, ids: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    ids.iter().filter_map(|id| facts.get(id)).map(|package| package.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// Facts of a made-up workspace: `(name, ours, normal, dev)`.
    fn facts(packages: &[(&str, bool, &[&str], &[&str])]) -> Facts {
        let (mut all, mut nodes, mut members) = (Vec::new(), Vec::new(), Vec::new());
        for (name, ours, normal, dev) in packages {
            all.push(format!(r#"{{"id":"{name}","name":"{name}"}}"#));
            if *ours {
                members.push(format!(r#""{name}""#));
            }
            let mut deps = String::new();
            for (kind, names) in [("null", normal), (r#""dev""#, dev)] {
                for other in *names {
                    let comma = if deps.is_empty() { "" } else { "," };
                    write!(deps, r#"{comma}{{"pkg":"{other}","dep_kinds":[{{"kind":{kind}}}]}}"#)
                        .unwrap();
                }
            }
            nodes.push(format!(r#"{{"id":"{name}","deps":[{deps}]}}"#));
        }
        let text = format!(
            r#"{{"packages":[{}],"workspace_members":[{}],"resolve":{{"nodes":[{}]}}}}"#,
            all.join(","),
            members.join(","),
            nodes.join(",")
        );
        Facts::parse(&text).unwrap()
    }

    #[test]
    fn the_edges_of_the_house_are_allowed() {
        let facts = facts(&[
            ("backup-core", true, &["serde"], &[]),
            ("backup-storage", true, &["backup-core", "opendal"], &["backup-testkit"]),
            ("backup-ops", true, &["backup-core"], &["backup-testkit"]),
            ("backup", true, &["backup-ops", "backup-storage"], &[]),
            ("backupctl", true, &["backup", "anyhow"], &[]),
            ("backup-testkit", true, &["backup-core"], &[]),
            ("serde", false, &[], &[]),
            ("opendal", false, &[], &[]),
            ("anyhow", false, &[], &[]),
        ]);
        assert_eq!(broken(&facts), Vec::<String>::new());
    }

    #[test]
    fn an_adapter_sees_neither_another_adapter_nor_the_verbs_nor_the_path() {
        for forbidden in ["backup-notify", "backup-ops", "backup-repository", "backup-config"] {
            let facts =
                facts(&[("backup-storage", true, &[forbidden], &[]), (forbidden, true, &[], &[])]);
            assert_eq!(broken(&facts), [format!("backup-storage must not depend on {forbidden}")]);
        }
    }

    #[test]
    fn only_the_facade_sees_both_verbs_and_adapters() {
        for outsider in ["backup-ops", "backupctl", "backup-config", "backup-api"] {
            let facts = facts(&[
                (outsider, true, &["backup-storage"], &[]),
                ("backup-storage", true, &[], &[]),
            ]);
            assert_eq!(broken(&facts).len(), 1, "{outsider}");
        }
    }

    #[test]
    fn tests_may_use_the_testkit_and_nothing_else_new() {
        let facts = facts(&[
            ("backup-ops", true, &[], &["backup-testkit", "backup-storage"]),
            ("backup-testkit", true, &[], &[]),
            ("backup-storage", true, &[], &[]),
        ]);
        assert_eq!(broken(&facts), ["tests of backup-ops must not use backup-storage"]);
    }

    #[test]
    fn banned_heavy_and_misplaced_packages_are_named() {
        let facts = facts(&[
            ("backup-core", true, &["middle"], &[]),
            ("backup-retention", true, &[], &["anyhow"]),
            ("middle", false, &["tokio", "openssl-sys"], &[]),
            ("tokio", false, &[], &[]),
            ("openssl-sys", false, &[], &[]),
            ("anyhow", false, &[], &[]),
        ]);
        let broken = broken(&facts).join("\n");
        assert!(broken.contains("backup-core must not pull in tokio"), "{broken}");
        assert!(broken.contains("openssl-sys is in the build"), "{broken}");
        assert!(broken.contains("backup-retention is a library and must not use anyhow"));
    }

    #[test]
    fn an_unknown_crate_and_a_swollen_one_are_reported() {
        let many: Vec<String> = (0..60).map(|number| format!("dep{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let mut packages = vec![
            ("backup-core", true, many.as_slice(), [].as_slice()),
            ("backup-newcomer", true, &[], &[]),
        ];
        packages.extend(many.iter().map(|name| (*name, false, [].as_slice(), [].as_slice())));
        let broken = broken(&facts(&packages)).join("\n");
        assert!(broken.contains("backup-core pulls in 61 packages, 45 is the budget"), "{broken}");
        assert!(broken.contains("backup-newcomer has no ring"), "{broken}");
    }
}
