//! What the platform is told.

use backup_core::Secret;
use url::Url;

/// PlanetScale's API.
pub(crate) const API: &str = "https://api.planetscale.com/v1";
/// The port of the server itself; 6432 is a pooler in transaction mode.
pub(crate) const DIRECT_PORT: u16 = 5432;

/// A database at PlanetScale.
#[derive(Clone, Debug)]
pub struct PlanetscaleConfig {
    /// The service token: its id and its secret, joined by a colon.
    pub token: Secret,
    /// The organization.
    pub organization: String,
    /// The database, as PlanetScale calls it: a cluster with branches.
    pub database: String,
    /// The branch; absent: the default one.
    pub branch: Option<String>,
    /// The size of clusters that restores make; absent: the source's own, or of MySQL the smallest
    /// that fits.
    pub cluster_size: Option<String>,
    /// The source's connection URL: names the database inside the cluster (of MySQL the keyspace), and
    /// by its scheme the engine.
    pub url: Secret,
    /// The API's address; absent: PlanetScale's own.
    pub api_url: Option<String>,
}

/// Which engine a database at PlanetScale is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Mysql,
}

impl Kind {
    pub(crate) fn of(url: &Secret) -> Self {
        let scheme = url.expose().split_once("://").map_or("", |(scheme, _)| scheme.trim());
        match scheme.to_ascii_lowercase().as_str() {
            "mysql" | "mariadb" => Self::Mysql,
            _ => Self::Postgres,
        }
    }

    /// Returns PlanetScale's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::Mysql => "mysql",
        }
    }
}

/// Whether a connection URL asks for the live database, piece by piece.
pub(crate) fn is_fuzzy(url: &Secret) -> bool {
    let Ok(url) = url.expose().trim().parse::<Url>() else { return false };
    let yes = |value: &str| matches!(value, "true" | "1" | "yes");
    url.query_pairs().any(|(name, value)| name.eq_ignore_ascii_case("fuzzy") && yes(&value))
}

/// Returns the database that a connection URL names; nothing where it names none.
pub(crate) fn database_of(url: &Secret) -> Option<String> {
    let url: Url = url.expose().trim().parse().ok()?;
    let name = url.path().trim_matches('/');
    let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?;
    (!name.is_empty()).then(|| name.into_owned())
}
