//! Large objects: which there are, and how their pages are read.

use backup_core::Result;
use serde::{Deserialize, Serialize};

use super::{flag, number, optional, text};
use crate::{Client, quote_ident, quote_literal};

/// Bytes of a large object read at once where its pages cannot be read directly.
const PIECE: u64 = 256 << 10;

/// What is known about all large objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) lowest: u64,
    pub(crate) highest: u64,
    /// Bytes of all of them, roughly.
    pub(crate) bytes: u64,
    /// Whether `pg_largeobject` itself may be read.
    pub(crate) direct: bool,
}

/// Everything about one large object but its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LargeObject {
    pub(crate) oid: u32,
    pub(crate) owner: String,
    /// Privileges, in the server's order; absent when never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grants: Option<Vec<Grant>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
    /// Security labels: provider and label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) labels: Vec<(String, String)>,
}

/// One privilege on a large object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// Role; absent for everyone.
    pub(crate) grantee: Option<String>,
    pub(crate) grantor: String,
    pub(crate) privilege: String,
    pub(crate) grantable: bool,
}

impl LargeObject {
    /// Returns the statements that set owner, privileges, comment and labels of the object
    /// after it was created.
    pub(crate) fn statements(
        &self,
        rename: impl Fn(&str) -> String,
        with_owner: bool,
        with_privileges: bool,
    ) -> Vec<String> {
        let oid = self.oid;
        let role = |name: &str| quote_ident(&rename(name));
        let mut sql = Vec::new();
        if with_owner {
            sql.push(format!("ALTER LARGE OBJECT {oid} OWNER TO {}", role(&self.owner)));
        }
        if let Some(grants) = self.grants.as_ref().filter(|_| with_privileges) {
            let owner = if with_owner { role(&self.owner) } else { "CURRENT_USER".to_owned() };
            sql.push(format!("REVOKE ALL ON LARGE OBJECT {oid} FROM {owner}"));
            for grant in grants {
                let grantee = match &grant.grantee {
                    None => "PUBLIC".to_owned(),
                    Some(name) if *name == self.owner => owner.clone(),
                    Some(name) => role(name),
                };
                let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
                let statement =
                    format!("GRANT {} ON LARGE OBJECT {oid} TO {grantee}{option}", grant.privilege);
                if with_owner && grant.grantor != self.owner {
                    let grantor = role(&grant.grantor);
                    sql.push(format!("SET SESSION AUTHORIZATION {grantor}"));
                    sql.push(statement);
                    sql.push("RESET SESSION AUTHORIZATION".to_owned());
                } else {
                    sql.push(statement);
                }
            }
        }
        if let Some(comment) = &self.comment {
            sql.push(format!("COMMENT ON LARGE OBJECT {oid} IS {}", quote_literal(comment)));
        }
        for (provider, label) in &self.labels {
            sql.push(format!(
                "SECURITY LABEL FOR {} ON LARGE OBJECT {oid} IS {}",
                quote_ident(provider),
                quote_literal(label)
            ));
        }
        sql
    }
}

/// Counts the large objects.
pub(crate) async fn summary(client: &mut Client) -> Result<Summary> {
    let sql = "SELECT count(*) AS count, coalesce(min(oid::pg_catalog.int8), 0) AS lowest, \
         coalesce(max(oid::pg_catalog.int8), 0) AS highest, \
         pg_catalog.pg_relation_size('pg_catalog.pg_largeobject') AS bytes, \
         pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT') AS direct \
         FROM pg_catalog.pg_largeobject_metadata";
    let rows = client.query(sql).await?;
    let Some(row) = rows.first() else { return Ok(Summary::default()) };
    Ok(Summary {
        count: number(row, "count")?,
        lowest: number(row, "lowest")?,
        highest: number(row, "highest")?,
        bytes: number(row, "bytes")?,
        direct: flag(row, "direct"),
    })
}

/// Reads the metadata of the objects with oids from `start` on, at most `limit`, in order.
pub(crate) async fn metadata(
    client: &mut Client,
    start: u64,
    limit: usize,
) -> Result<Vec<LargeObject>> {
    let sql = format!(
        "SELECT m.oid, pg_catalog.pg_get_userbyid(m.lomowner) AS owner, \
         m.lomacl IS NOT NULL AS has_grants, \
         (SELECT pg_catalog.json_agg(pg_catalog.json_build_object( \
            'grantee', CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee) END, \
            'grantor', pg_catalog.pg_get_userbyid(a.grantor), \
            'privilege', a.privilege_type, 'grantable', a.is_grantable) ORDER BY a.ordinality) \
          FROM pg_catalog.aclexplode(m.lomacl) WITH ORDINALITY a) AS grants, \
         pg_catalog.obj_description(m.oid, 'pg_largeobject') AS comment, \
         (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(s.provider, s.label)) \
          FROM pg_catalog.pg_seclabel s WHERE s.objoid = m.oid \
          AND s.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass) AS labels \
         FROM pg_catalog.pg_largeobject_metadata m WHERE m.oid::pg_catalog.int8 >= {start} \
         ORDER BY m.oid LIMIT {limit}"
    );
    let rows = client.query(&sql).await?;
    rows.iter()
        .map(|row| {
            let grants = flag(row, "has_grants")
                .then(|| json(row.by_name("grants").unwrap_or("[]")))
                .transpose()?;
            Ok(LargeObject {
                oid: number(row, "oid")?,
                owner: text(row, "owner")?,
                grants,
                comment: optional(row, "comment"),
                labels: row.by_name("labels").map_or(Ok(Vec::new()), json)?,
            })
        })
        .collect()
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| super::unexpected("privileges").because(error))
}

/// Returns the statement that copies oid, offset and bytes of the objects in a range of oids.
pub(crate) fn copy_query(direct: bool, block_size: u64, start: u64, end: Option<u64>) -> String {
    let column = if direct { "loid" } else { "m.oid" };
    let range = [
        Some(format!("{column}::pg_catalog.int8 >= {start}")),
        end.map(|end| format!("{column}::pg_catalog.int8 < {end}")),
    ];
    let range: Vec<String> = range.into_iter().flatten().collect();
    let range = range.join(" AND ");
    if direct {
        // A page of a large object is a quarter of a block.
        let page = block_size / 4;
        return format!(
            "COPY (SELECT loid, pageno::pg_catalog.int8 * {page}, data \
             FROM pg_catalog.pg_largeobject WHERE {range} ORDER BY loid, pageno) TO STDOUT"
        );
    }
    format!(
        "COPY (SELECT s.oid, o.start, pg_catalog.lo_get(s.oid, o.start, {PIECE}) FROM ( \
           SELECT f.oid, f.size, pg_catalog.lo_close(f.fd) FROM ( \
             SELECT d.oid, d.fd, pg_catalog.lo_lseek64(d.fd, 0, 2) AS size FROM ( \
               SELECT m.oid, pg_catalog.lo_open(m.oid, 262144) AS fd \
               FROM pg_catalog.pg_largeobject_metadata m WHERE {range} ORDER BY m.oid OFFSET 0) d \
             OFFSET 0) f OFFSET 0) s \
         CROSS JOIN LATERAL pg_catalog.generate_series(0, s.size - 1, {PIECE}) o (start)) TO STDOUT"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> LargeObject {
        LargeObject {
            oid: 7,
            owner: "alice".into(),
            grants: Some(vec![
                Grant {
                    grantee: Some("alice".into()),
                    grantor: "alice".into(),
                    privilege: "SELECT".into(),
                    grantable: false,
                },
                Grant {
                    grantee: None,
                    grantor: "alice".into(),
                    privilege: "SELECT".into(),
                    grantable: false,
                },
            ]),
            comment: Some("it's".into()),
            labels: Vec::new(),
        }
    }

    #[test]
    fn metadata_becomes_statements() {
        let sql = object().statements(|name| format!("{name}2"), true, true);
        assert_eq!(
            sql,
            [
                "ALTER LARGE OBJECT 7 OWNER TO \"alice2\"",
                "REVOKE ALL ON LARGE OBJECT 7 FROM \"alice2\"",
                "GRANT SELECT ON LARGE OBJECT 7 TO \"alice2\"",
                "GRANT SELECT ON LARGE OBJECT 7 TO PUBLIC",
                "COMMENT ON LARGE OBJECT 7 IS 'it''s'",
            ]
        );
        assert_eq!(object().statements(str::to_owned, false, false).len(), 1);
    }
}
