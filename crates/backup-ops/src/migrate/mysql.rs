//! What may not fit between two servers of MySQL or MariaDB, and the cut-over between them: pure.

use std::collections::BTreeSet;

use backup_core::port::{DatabaseContent, RestoreOptions, Survey};

use super::checklist::{ChecklistStep, literal, shell};
use super::preflight::{Check, Fit, place};

/// The engine's word.
pub(super) const ENGINE: &str = "mysql";

pub(super) fn preflight(
    source: &Survey,
    content: &DatabaseContent,
    target: &Survey,
    options: &RestoreOptions,
    allow_downgrade: bool,
) -> Vec<Check> {
    let mut all = vec![
        version(source, target, allow_downgrade),
        place(content, target, "CREATE"),
        roles(source, content, target, options),
        features(content, target),
        locale(content, target),
        names(source, target),
        packets(source, target),
    ];
    all.extend(left_behind(content));
    all
}

fn version(source: &Survey, target: &Survey, allow_downgrade: bool) -> Check {
    let (from, to) = (&source.server_version, &target.server_version);
    let detail = format!("{} {from} to {} {to}", source.product, target.product);
    if source.product != target.product {
        return Check::new("version", Fit::Warning, detail).remedy(
            "What one of them does not know of the other's schema fails while it is restored.",
        );
    }
    if (target.major, target.minor) >= (source.major, source.minor) {
        return Check::new("version", Fit::Fits, detail);
    }
    let fit = if allow_downgrade { Fit::Warning } else { Fit::Blocked };
    Check::new("version", fit, format!("{detail}, which is older and may not know what is used"))
        .remedy(format!(
            "Take a target of {} {}.{} or newer, or insist with --allow-downgrade: what the older \
             version does not know then fails while it is restored.",
            source.product, source.major, source.minor
        ))
}

fn roles(
    source: &Survey,
    content: &DatabaseContent,
    target: &Survey,
    options: &RestoreOptions,
) -> Check {
    if options.create_roles && !source.keeps_roles {
        return Check::new("roles", Fit::Blocked, "snapshots of the source hold no accounts")
            .remedy("Set users = true below its [source.backup], or leave --create-roles out.");
    }
    if options.create_roles && !target.may_create_roles {
        return Check::new("roles", Fit::Blocked, "the user there may not create accounts")
            .remedy("Grant it CREATE USER ON *.*, and what the accounts are to have.");
    }
    if options.create_roles {
        let detail = "accounts that have to do with the database and are not there are created \
                      as they are at the source";
        return Check::new("roles", Fit::Fits, detail);
    }
    let needed: BTreeSet<String> = content
        .owners
        .iter()
        .filter(|_| !options.no_owner)
        .map(|definer| renamed(definer, &options.role_map))
        .collect();
    if needed.is_empty() {
        return Check::new("roles", Fit::Fits, "no object acts as somebody, or that is left out");
    }
    if target.roles_hidden {
        let detail = "whether the accounts that objects act as exist is not shown to this user";
        return Check::new("roles", Fit::Warning, detail)
            .remedy("Grant it SELECT ON `mysql`.* there, or look yourself.");
    }
    let missing: Vec<String> =
        needed.into_iter().filter(|definer| !target.roles.contains(definer)).collect();
    if missing.is_empty() {
        return Check::new("roles", Fit::Fits, "the accounts that objects act as exist");
    }
    let detail = format!("objects act as accounts not on the target: {}", missing.join(", "));
    Check::new("roles", Fit::Blocked, detail).remedy(
        "Create them there, or pass --map-role OLD=NEW, --no-owner, or, where snapshots hold \
         accounts (backup.users), --create-roles.",
    )
}

/// As a restore renames definers: a pair that names a host means one account, others every host's.
fn renamed(definer: &str, map: &[(String, String)]) -> String {
    let (user, host) = match definer.rsplit_once('@') {
        Some((user, host)) => (user, Some(host)),
        None => (definer, None),
    };
    let exact = map.iter().find(|(old, _)| old == definer);
    let Some((_, new)) = exact.or_else(|| map.iter().find(|(old, _)| old == user)) else {
        return definer.to_owned();
    };
    match (host, new.rsplit_once('@')) {
        (None, Some((user, _))) => user.to_owned(),
        (Some(host), None) => format!("{new}@{host}"),
        _ => new.clone(),
    }
}

fn features(content: &DatabaseContent, target: &Survey) -> Check {
    let lacking: Vec<&str> =
        content.needs.difference(&target.features).map(String::as_str).collect();
    if lacking.is_empty() {
        return Check::new("features", Fit::Fits, "the engines and collations in use exist");
    }
    Check::new("features", Fit::Blocked, format!("not on the target: {}", lacking.join(", ")))
        .remedy("Load the engine there, take a newer server, or change the tables at the source.")
}

fn locale(content: &DatabaseContent, target: &Survey) -> Check {
    let of = |content: &DatabaseContent| {
        let word = |name: &str| content.locale.get(name).cloned().unwrap_or_default();
        format!("{} and {}", word("encoding"), word("collate"))
    };
    let wanted = of(content);
    // An empty database is set up as the source's is.
    let detail = match &target.content {
        Some(there) if of(there) != wanted => format!("changed from {} to {wanted}", of(there)),
        Some(_) => format!("{wanted}, as it is there"),
        None => format!("will be created with {wanted}"),
    };
    Check::new("locale", Fit::Fits, detail)
}

fn names(source: &Survey, target: &Survey) -> Check {
    let of = |survey: &Survey| {
        survey.settings.get("lower_case_table_names").cloned().unwrap_or_default()
    };
    if of(source) == of(target) {
        return Check::new("names", Fit::Fits, "the case of tables' names means the same");
    }
    let detail = format!("lower_case_table_names is {}, not {}", of(target), of(source));
    Check::new("names", Fit::Warning, detail)
        .remedy("Names of tables that differ in case only, or are used in another one, will fail.")
}

fn packets(source: &Survey, target: &Survey) -> Check {
    let of = |survey: &Survey| -> u64 {
        let found = survey.settings.get("max_allowed_packet");
        found.and_then(|text| text.parse().ok()).unwrap_or_default()
    };
    if of(target) >= of(source) {
        return Check::new("max_allowed_packet", Fit::Fits, "no less than at the source");
    }
    let detail = format!("{}, and {} at the source", of(target), of(source));
    Check::new("max_allowed_packet", Fit::Warning, detail)
        .remedy("A longer value fails while it is loaded: raise it on the target.")
}

fn left_behind(content: &DatabaseContent) -> Vec<Check> {
    let mut all = Vec::new();
    let mut warn = |name, found: &[String], means: &str, remedy: &str| {
        if !found.is_empty() {
            let detail = format!("{}: {means}", found.join(", "));
            all.push(Check::new(name, Fit::Warning, detail).remedy(remedy));
        }
    };
    warn(
        "events",
        &content.events,
        "come along switched on, so that both servers run them",
        "Set event_scheduler = OFF on the target until the cut-over.",
    );
    warn(
        "system versioning",
        &content.versioned,
        "only current rows come along",
        "Copy the history yourself if it is needed, or leave the old server in place.",
    );
    warn(
        "rows elsewhere",
        &content.elsewhere,
        "only definitions come along",
        "Check that the target reaches what they point to.",
    );
    all
}

/// Returns the steps of a cut-over, in order.
pub(super) fn checklist(source: &str, from: &Survey, to: &Survey) -> Vec<ChecklistStep> {
    let step = |purpose: &str, command: String| ChecklistStep { purpose: purpose.into(), command };
    let client = |at: &Survey, sql: &str| format!("mysql {} -N -e {}", at.client, shell(sql));
    let kill = format!(
        "SELECT CONCAT('KILL ', ID, ';') FROM information_schema.PROCESSLIST WHERE DB = {} AND ID \
         <> CONNECTION_ID()",
        literal(&from.database)
    );
    let tables = format!(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = {}",
        literal(&to.database)
    );
    vec![
        step(
            "Stop writing at the source (the whole server; accounts with SUPER or READ_ONLY ADMIN \
             still may). MYSQL_PWD may hold the password",
            client(from, "SET GLOBAL read_only = ON"),
        ),
        step(
            "End the sessions of the database",
            format!("{} | mysql {} --force", client(from, &kill), from.client),
        ),
        step(
            "Migrate once more, now that nothing changes, into a database that is not there yet; \
             what did not change since is not stored again",
            format!("backupctl migrate {source} --to \"$TARGET_URL\""),
        ),
        step("Look at the target before anybody else does", client(to, &tables)),
        step(
            "Point the application at the target, and the backups too: the name now means another \
             database",
            format!("DATABASE_URL=\"$TARGET_URL\" backupctl backup {source} --accept-new-identity"),
        ),
        step("Prove that the new home can be restored", format!("backupctl drill {source}")),
        step(
            "To go back instead: let the source be written again",
            client(from, "SET GLOBAL read_only = OFF"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::preflight::tests::options;
    use super::super::preflight::{Fit, preflight};
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn source() -> Survey {
        let content = DatabaseContent {
            owners: set(&["app@%"]),
            needs: set(&["engine InnoDB", "collation utf8mb4_bin"]),
            ..DatabaseContent::default()
        };
        let settings = [("lower_case_table_names", "0"), ("max_allowed_packet", "1024")];
        Survey {
            engine: ENGINE.into(),
            product: "MariaDB".into(),
            major: 10,
            minor: 6,
            keeps_roles: true,
            settings: settings.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
            content: Some(content),
            ..Survey::default()
        }
    }

    fn target() -> Survey {
        Survey {
            minor: 11,
            content: None,
            roles: set(&["app@%"]),
            features: set(&["engine InnoDB", "collation utf8mb4_bin", "engine Aria"]),
            may_create_databases: true,
            may_create_roles: true,
            ..source()
        }
    }

    fn fit(name: &str, source: &Survey, target: &Survey, options: &RestoreOptions) -> Fit {
        let all = preflight(source, target, options, false);
        all.into_iter().find(|check| check.name == name).unwrap().fit
    }

    #[test]
    fn what_fits_is_told_and_every_obstacle_is_named_with_its_remedy() {
        let all = preflight(&source(), &target(), &options(), false);
        assert!(all.iter().all(|check| check.fit == Fit::Fits), "{all:?}");
        let postgres = Survey { engine: "postgres".into(), ..target() };
        assert_eq!(fit("engine", &source(), &postgres, &options()), Fit::Blocked);
        let mysql = Survey { product: "MySQL".into(), major: 8, minor: 0, ..target() };
        assert_eq!(fit("version", &source(), &mysql, &options()), Fit::Warning);
        let mut bad = target();
        bad.minor = 5;
        bad.roles = set(&["me@%"]);
        bad.features = set(&["engine InnoDB"]);
        bad.may_create_databases = false;
        bad.settings.insert("lower_case_table_names".into(), "1".into());
        bad.settings.insert("max_allowed_packet".into(), "512".into());
        let all = preflight(&source(), &bad, &options(), false);
        let fits: Vec<(&str, Fit)> = all.iter().map(|check| (check.name, check.fit)).collect();
        assert_eq!(
            fits,
            [
                ("version", Fit::Blocked),
                ("target", Fit::Blocked),
                ("roles", Fit::Blocked),
                ("features", Fit::Blocked),
                ("locale", Fit::Fits),
                ("names", Fit::Warning),
                ("max_allowed_packet", Fit::Warning),
            ]
        );
        assert!(all.iter().all(|check| check.fit == Fit::Fits || check.remedy.is_some()));
        assert_eq!(preflight(&source(), &bad, &options(), true)[0].fit, Fit::Warning);
    }

    #[test]
    fn definers_exist_are_created_renamed_or_left_out() {
        let bare = Survey { roles: set(&["web@%"]), ..target() };
        let with = |change: &dyn Fn(&mut RestoreOptions)| {
            let mut options = options();
            change(&mut options);
            fit("roles", &source(), &bare, &options)
        };
        assert_eq!(with(&|_| {}), Fit::Blocked);
        assert_eq!(with(&|o| o.no_owner = true), Fit::Fits);
        assert_eq!(with(&|o| o.create_roles = true), Fit::Fits);
        for pair in [("app", "web"), ("app@%", "web@%")] {
            assert_eq!(with(&|o| o.role_map = vec![(pair.0.into(), pair.1.into())]), Fit::Fits);
        }
        assert_eq!(with(&|o| o.role_map = vec![("app@h".into(), "web".into())]), Fit::Blocked);
        let hidden = Survey { roles_hidden: true, ..target() };
        assert_eq!(fit("roles", &source(), &hidden, &options()), Fit::Warning);
        let create = RestoreOptions { create_roles: true, ..options() };
        let without = Survey { keeps_roles: false, ..source() };
        assert_eq!(fit("roles", &without, &target(), &create), Fit::Blocked);
    }

    #[test]
    fn the_cut_over_is_for_the_engines_own_client() {
        let from = Survey { client: "--host='a' --user='it'\\''s'".into(), ..source() };
        let steps = checklist("shop", &from, &target());
        assert!(steps[0].command.starts_with("mysql --host='a' --user='it'\\''s' -N -e 'SET "));
        assert!(steps[1].command.contains("KILL "));
        assert!(steps.last().unwrap().command.contains("read_only = OFF"));
    }
}
