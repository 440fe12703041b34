//! Default privileges of the target, which would open restored objects to more roles than the
//! source did: privileges in a snapshot are stated against PostgreSQL's own defaults.

use backup_core::Result;

use super::Furnished;
use crate::{Client, quote_ident};

impl Furnished {
    /// Takes the connecting role's default privileges back to PostgreSQL's own.
    pub(in crate::logical::restore) async fn reset_default_privileges(
        client: &mut Client,
    ) -> Result<()> {
        let mut statements = Vec::new();
        for row in client.query(DEFAULTS).await? {
            let Some(objects) = row.by_name("kind").and_then(objects) else { continue };
            let place =
                row.by_name("nspname").map(|name| format!(" IN SCHEMA {}", quote_ident(name)));
            let place = place.unwrap_or_default();
            let change = |what: &str| format!("ALTER DEFAULT PRIVILEGES{place} {what}");
            let grantee = match row.by_name("grantee") {
                Some(name) => quote_ident(name),
                None => "PUBLIC".to_owned(),
            };
            statements.push(change(&format!("REVOKE ALL ON {objects} FROM {grantee}")));
            if place.is_empty() {
                statements.extend(built_in(objects).map(change));
            }
        }
        // What was taken from everyone first is given back last.
        statements.sort_by_key(|statement| statement.contains(" GRANT "));
        statements.dedup();
        for statement in statements {
            client.execute(&statement).await?;
        }
        Ok(())
    }

    /// Puts the target's own default privileges back, where the snapshot's do not come.
    pub(in crate::logical::restore) async fn put_back_default_privileges(
        &self,
        client: &mut Client,
        user: &str,
    ) -> Result<()> {
        let own = self
            .present
            .entries
            .iter()
            .filter(|entry| entry.kind() == "DEFAULT ACL" && entry.owner() == Some(user));
        for entry in own {
            client.execute(entry.definition()).await?;
        }
        Ok(())
    }
}

/// What everyone may do, and the owner, when nobody said anything; only for whole databases.
fn built_in(objects: &str) -> impl Iterator<Item = &'static str> {
    let grants: &[&str] = match objects {
        "TABLES" => &["GRANT ALL ON TABLES TO CURRENT_USER"],
        "SEQUENCES" => &["GRANT ALL ON SEQUENCES TO CURRENT_USER"],
        "FUNCTIONS" => {
            &["GRANT ALL ON FUNCTIONS TO CURRENT_USER", "GRANT EXECUTE ON FUNCTIONS TO PUBLIC"]
        }
        "TYPES" => &["GRANT ALL ON TYPES TO CURRENT_USER", "GRANT USAGE ON TYPES TO PUBLIC"],
        "SCHEMAS" => &["GRANT ALL ON SCHEMAS TO CURRENT_USER"],
        "LARGE OBJECTS" => &["GRANT ALL ON LARGE OBJECTS TO CURRENT_USER"],
        _ => &[],
    };
    grants.iter().copied()
}

fn objects(code: &str) -> Option<&'static str> {
    Some(match code {
        "r" => "TABLES",
        "S" => "SEQUENCES",
        "f" => "FUNCTIONS",
        "T" => "TYPES",
        "n" => "SCHEMAS",
        "L" => "LARGE OBJECTS",
        _ => return None,
    })
}

const DEFAULTS: &str = "\
SELECT DISTINCT d.defaclobjtype AS kind, n.nspname, r.rolname AS grantee \
FROM pg_catalog.pg_default_acl d \
LEFT JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) a ON true \
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace \
LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee \
WHERE d.defaclrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user) \
ORDER BY 1, 2, 3";
