//! What the target cannot take, asked of both ends before anything is read: pure.

use std::collections::BTreeSet;

use backup_core::port::{DatabaseContent, RestoreOptions, Survey};

use super::mysql;

/// How something of the source fits the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// As it is.
    Fits,
    /// With a "but" that a person has to know.
    Warning,
    /// Not at all: nothing is begun.
    Blocked,
}

impl Fit {
    /// Returns the stable word used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Warning => "warning",
            Self::Blocked => "blocked",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What: `version`, `target`, `roles`, `extensions` …
    pub name: &'static str,
    /// How it fits.
    pub fit: Fit,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Check {
    pub(super) fn new(name: &'static str, fit: Fit, detail: impl Into<String>) -> Self {
        Self { name, fit, detail: detail.into(), remedy: None }
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Looks at everything that may not fit; every check is told, whatever it came to.
#[must_use]
pub fn preflight(
    source: &Survey,
    target: &Survey,
    options: &RestoreOptions,
    allow_downgrade: bool,
) -> Vec<Check> {
    let empty = DatabaseContent::default();
    let content = source.content.as_ref().unwrap_or(&empty);
    if source.engine != target.engine {
        let detail = format!("{} does not become {}", source.product, target.product);
        return vec![
            Check::new("engine", Fit::Blocked, detail)
                .remedy("Name a target of the source's own engine."),
        ];
    }
    if source.engine == mysql::ENGINE {
        return mysql::preflight(source, content, target, options, allow_downgrade);
    }
    let mut all = vec![
        version(source, target, allow_downgrade),
        place(content, target, "CREATEDB"),
        roles(content, target, options),
        extensions(content, target, options),
        locale(content, target),
        tablespaces(content, target),
    ];
    all.extend(left_behind(content));
    all
}

fn version(source: &Survey, target: &Survey, allow_downgrade: bool) -> Check {
    let (from, to) = (&source.server_version, &target.server_version);
    if target.major >= source.major {
        return Check::new("version", Fit::Fits, format!("PostgreSQL {from} to {to}"));
    }
    let detail = format!("PostgreSQL {from} to the older {to}, which may not know what is used");
    let fit = if allow_downgrade { Fit::Warning } else { Fit::Blocked };
    Check::new("version", fit, detail).remedy(format!(
        "Take a target of PostgreSQL {} or newer, or insist with --allow-downgrade: what the older \
         version does not know then fails while it is restored.",
        source.major
    ))
}

/// Whether the target can be written; `grant` is what lets the role create it.
pub(super) fn place(source: &DatabaseContent, target: &Survey, grant: &str) -> Check {
    let Some(content) = &target.content else {
        if target.may_create_databases {
            return Check::new("target", Fit::Fits, format!("{} will be created", target.location));
        }
        return Check::new("target", Fit::Blocked, "the role there may not create databases")
            .remedy(format!("Create an empty database there first, or grant the role {grant}."));
    };
    if content.identity.is_some() && content.identity == source.identity {
        return Check::new("target", Fit::Blocked, "it is the source itself")
            .remedy("Name another database.");
    }
    if content.objects.is_empty() {
        return Check::new("target", Fit::Fits, format!("{} is empty", target.location));
    }
    Check::new("target", Fit::Blocked, format!("not empty: {}", content.objects.join(", ")))
        .remedy("Name a new database; nothing is ever migrated over what is there.")
}

fn roles(source: &DatabaseContent, target: &Survey, options: &RestoreOptions) -> Check {
    let mut needed = BTreeSet::new();
    if !options.no_owner {
        needed.extend(&source.owners);
    }
    if !options.no_privileges {
        needed.extend(&source.grantees);
    }
    let mapped = |role: &String| {
        let pair = options.role_map.iter().find(|(old, _)| old == role);
        pair.map_or_else(|| role.clone(), |(_, new)| new.clone())
    };
    let missing: BTreeSet<String> = needed
        .into_iter()
        .map(mapped)
        // The server's own are named alike everywhere.
        .filter(|role| !target.roles.contains(role) && !role.starts_with("pg_"))
        .collect();
    if missing.is_empty() {
        return Check::new("roles", Fit::Fits, "owners and grantees exist, or are left out");
    }
    let names = missing.into_iter().collect::<Vec<_>>().join(", ");
    if options.create_roles && target.may_create_roles {
        let detail = format!("will be created, without password and login: {names}");
        return Check::new("roles", Fit::Warning, detail)
            .remedy("Give them passwords and LOGIN before the cut-over.");
    }
    Check::new("roles", Fit::Blocked, format!("not on the target: {names}")).remedy(
        "Create them there, or pass --create-roles, --map-role OLD=NEW, or --no-owner with \
         --no-privileges.",
    )
}

fn extensions(source: &DatabaseContent, target: &Survey, options: &RestoreOptions) -> Check {
    let mut missing = Vec::new();
    let mut needed = Vec::new();
    let mut others = Vec::new();
    for (name, version) in &source.extensions {
        let left_out = options.without_extensions.contains(name);
        match target.available.get(name) {
            _ if left_out => {
                let columns = source.extension_columns.get(name).map(Vec::as_slice);
                needed.extend(columns.unwrap_or_default().iter().map(|c| format!("{c} ({name})")));
            }
            None => missing.push(name.clone()),
            Some(there) if there != version => others.push(format!("{name} {version} → {there}")),
            Some(_) => {}
        }
    }
    if !missing.is_empty() {
        let detail = format!("cannot be installed on the target: {}", missing.join(", "));
        return Check::new("extensions", Fit::Blocked, detail).remedy(
            "Install their packages there, choose a vendor that has them, or leave them out with \
             --without-extension NAME where nothing needs them.",
        );
    }
    if !needed.is_empty() {
        let detail = format!("left out, but columns are of their types: {}", needed.join(", "));
        return Check::new("extensions", Fit::Blocked, detail)
            .remedy("Change those columns' types at the source, or keep the extension.");
    }
    if !others.is_empty() {
        let detail = format!("in another version there: {}", others.join(", "));
        return Check::new("extensions", Fit::Warning, detail);
    }
    Check::new("extensions", Fit::Fits, format!("{} extensions", source.extensions.len()))
}

fn locale(source: &DatabaseContent, target: &Survey) -> Check {
    let of = |name: &str| source.locale.get(name).cloned().unwrap_or_default();
    let Some(content) = &target.content else {
        let provider = of("locale_provider");
        let since = match provider.as_str() {
            "icu" => 15,
            "builtin" => 17,
            _ => 0,
        };
        if target.major < since {
            let detail = format!("databases of provider {provider} come with PostgreSQL {since}");
            return Check::new("locale", Fit::Blocked, detail).remedy(
                "Create an empty database there with a locale of your choice, and name it.",
            );
        }
        let detail = format!("will be created with {} and {}", of("encoding"), of("collate"));
        return Check::new("locale", Fit::Fits, detail);
    };
    let differ: Vec<String> = ["encoding", "collate", "ctype", "locale_provider", "locale"]
        .into_iter()
        .filter(|name| source.locale.get(*name) != content.locale.get(*name))
        .map(|name| {
            let there = content.locale.get(name).cloned().unwrap_or_default();
            format!("{name} {} → {there}", of(name))
        })
        .collect();
    if differ.is_empty() {
        return Check::new("locale", Fit::Fits, "encoding and locale are the same");
    }
    Check::new("locale", Fit::Warning, differ.join(", ")).remedy(
        "Text sorts otherwise, and what the encoding lacks fails; name a database that does not \
         exist yet to have it created as the source's is.",
    )
}

fn tablespaces(source: &DatabaseContent, target: &Survey) -> Check {
    let lacking: Vec<&str> =
        source.tablespaces.difference(&target.tablespaces).map(String::as_str).collect();
    if lacking.is_empty() {
        return Check::new("tablespaces", Fit::Fits, "those in use exist");
    }
    let detail =
        format!("not on the target: {}; everything goes to the default", lacking.join(", "));
    Check::new("tablespaces", Fit::Warning, detail)
}

/// What a logical copy does not, or not wholly, bring along.
fn left_behind(source: &DatabaseContent) -> Vec<Check> {
    let mut all = Vec::new();
    if source.large_objects > 0 {
        let detail = format!("{} come along", source.large_objects);
        all.push(Check::new("large objects", Fit::Fits, detail));
    }
    let mut warn = |name, found: &[String], means: &str, remedy: &str| {
        if !found.is_empty() {
            let detail = format!("{}: {means}", found.join(", "));
            all.push(Check::new(name, Fit::Warning, detail).remedy(remedy));
        }
    };
    warn(
        "publications",
        &source.publications,
        "come along; subscribers still follow the source",
        "Point the subscribers at the target after the cut-over, and refresh them.",
    );
    warn(
        "subscriptions",
        &source.subscriptions,
        "come along disconnected",
        "Enable them on the target after the cut-over (ALTER SUBSCRIPTION … ENABLE).",
    );
    warn(
        "replication slots",
        &source.slots,
        "do not come along",
        "Make new ones on the target before whoever reads them is pointed there.",
    );
    warn(
        "foreign servers",
        &source.foreign_servers,
        "come along with their options; the target must reach them",
        "Check that the target's network reaches them, and the passwords of user mappings.",
    );
    if source.prepared > 0 {
        let detail = format!("{} prepared transactions are in no copy", source.prepared);
        all.push(
            Check::new("prepared transactions", Fit::Warning, detail)
                .remedy("End them (COMMIT PREPARED, ROLLBACK PREPARED) and migrate again."),
        );
    }
    all
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroUsize;
    use std::sync::Arc;

    use backup_core::port::NoObserver;

    use super::*;

    pub(crate) fn options() -> RestoreOptions {
        RestoreOptions {
            jobs: NonZeroUsize::MIN,
            tables: Vec::new(),
            schemas: Vec::new(),
            no_owner: false,
            no_privileges: false,
            create_roles: false,
            role_map: Vec::new(),
            without_extensions: Vec::new(),
            ordered: false,
            recovery: <_>::default(),
            delta: false,
            tablespaces: Vec::new(),
            files: <_>::default(),
            observer: Arc::new(NoObserver),
        }
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn source() -> Survey {
        let content = DatabaseContent {
            extensions: [("vector".to_owned(), "0.7".to_owned())].into(),
            extension_columns: [("vector".to_owned(), vec!["docs.v".to_owned()])].into(),
            owners: set(&["app"]),
            grantees: set(&["reader"]),
            ..DatabaseContent::default()
        };
        Survey { major: 16, content: Some(content), ..Survey::default() }
    }

    fn target() -> Survey {
        Survey {
            major: 17,
            roles: set(&["app", "reader"]),
            available: [("vector".to_owned(), "0.7".to_owned())].into(),
            may_create_databases: true,
            may_create_roles: true,
            ..Survey::default()
        }
    }

    fn fit(name: &str, source: &Survey, target: &Survey, options: &RestoreOptions) -> Fit {
        let all = preflight(source, target, options, false);
        all.into_iter().find(|check| check.name == name).unwrap().fit
    }

    #[test]
    fn what_fits_is_told_as_well() {
        let all = preflight(&source(), &target(), &options(), false);
        assert!(all.iter().all(|check| check.fit == Fit::Fits), "{all:?}");
    }

    #[test]
    fn every_obstacle_is_named_with_its_remedy() {
        let older = Survey { major: 15, ..target() };
        assert_eq!(fit("version", &source(), &older, &options()), Fit::Blocked);
        let insisted = preflight(&source(), &older, &options(), true);
        assert_eq!(insisted[0].fit, Fit::Warning);
        let held = DatabaseContent { objects: vec!["relation t".into()], ..Default::default() };
        let full = Survey { content: Some(held), ..target() };
        assert_eq!(fit("target", &source(), &full, &options()), Fit::Blocked);
        let poor = Survey { may_create_databases: false, ..target() };
        assert_eq!(fit("target", &source(), &poor, &options()), Fit::Blocked);
        let bare = Survey { available: Default::default(), roles: set(&["me"]), ..target() };
        for name in ["roles", "extensions"] {
            assert_eq!(fit(name, &source(), &bare, &options()), Fit::Blocked, "{name}");
        }
        let all = preflight(&source(), &bare, &options(), false);
        assert!(all.iter().all(|check| check.fit == Fit::Fits || check.remedy.is_some()));
    }

    #[test]
    fn roles_are_created_or_mapped_and_extensions_left_out_where_nothing_needs_them() {
        let bare = Survey { available: Default::default(), roles: set(&["me"]), ..target() };
        let create = RestoreOptions { create_roles: true, ..options() };
        assert_eq!(fit("roles", &source(), &bare, &create), Fit::Warning);
        let map = vec![("app".into(), "me".into()), ("reader".into(), "me".into())];
        let mapped = RestoreOptions { role_map: map, ..options() };
        assert_eq!(fit("roles", &source(), &bare, &mapped), Fit::Fits);
        let without = RestoreOptions { without_extensions: vec!["vector".into()], ..options() };
        assert_eq!(fit("extensions", &source(), &bare, &without), Fit::Blocked);
        let mut unused = source();
        unused.content.as_mut().unwrap().extension_columns.clear();
        assert_eq!(fit("extensions", &unused, &bare, &without), Fit::Fits);
    }
}
