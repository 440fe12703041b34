//! What the furnished target has already, and has otherwise than the snapshot: what of it can be
//! made up for, and what is named. Pure.

use std::collections::BTreeSet;

use super::Furnished;
use crate::logical::archive::Entry;
use crate::logical::catalog::server::Offer;
use crate::logical::statement::roles_in;
use crate::quote_ident;

/// What is done where the target has something otherwise.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Statements that make up for it.
    pub(super) sql: String,
    /// Whether something is left that they do not make up for.
    pub(super) remains: bool,
}

impl Furnished {
    /// Compares an entry that the target keeps its own of; nothing where they are the same. What
    /// the host makes by itself, and as it likes, is not compared.
    pub(super) fn difference(
        &self,
        entry: &Entry,
        tables: &[&Entry],
        offer: &Offer,
    ) -> Option<Difference> {
        let fleeting = self.hosted.without_rows.contains(&entry.schema());
        if fleeting || entry.tag().starts_with("EXTENSION ") && entry.kind() == "COMMENT" {
            return None;
        }
        let there = self.find(entry.kind(), entry.schema(), entry.tag());
        match (entry.kind(), there) {
            (_, Some(there)) if there.definition() == entry.definition() => None,
            ("EXTENSION", Some(_)) => None,
            ("ACL", _) => self.grants(entry, there, offer),
            ("PUBLICATION", Some(there)) => Some(publication(entry, there, tables, offer)),
            _ => Some(Difference { remains: true, ..Difference::default() }),
        }
    }

    /// Grants to roles that are not the host's are made again where the customer may make them.
    fn grants(&self, entry: &Entry, there: Option<&Entry>, offer: &Offer) -> Option<Difference> {
        let lines = statements(entry.definition());
        let known = there.map(|there| statements(there.definition())).unwrap_or_default();
        if lines == known {
            return None;
        }
        // pg_dump quotes names where they need it only.
        let granting = [offer.user.clone(), quote_ident(&offer.user)]
            .map(|user| format!(" TO {user} WITH GRANT OPTION;"));
        let is_allowed = there.is_some_and(|there| {
            there.owner() == Some(&offer.user)
                || known.iter().any(|line| {
                    line.starts_with("GRANT ALL ") && granting.iter().any(|end| line.ends_with(end))
                })
        });
        let mut difference = Difference { remains: !known.is_subset(&lines), ..<_>::default() };
        for line in lines.difference(&known) {
            let roles = roles_in(line);
            let others = line.starts_with("GRANT ")
                && !roles.is_empty()
                && roles
                    .iter()
                    .all(|role| *role != self.hosted.customer && !self.hosted.is_host_role(role));
            if others && is_allowed {
                difference.sql.push_str(line);
                difference.sql.push('\n');
            } else {
                difference.remains = true;
            }
        }
        Some(difference)
    }
}

/// The statements of a list of privileges, whoever made them.
fn statements(sql: &str) -> BTreeSet<&str> {
    let change = |line: &&str| {
        !line.is_empty()
            && !line.starts_with("SET SESSION AUTHORIZATION ")
            && !line.starts_with("RESET SESSION AUTHORIZATION")
    };
    sql.lines().map(str::trim).filter(change).collect()
}

/// Nobody but a superuser makes a publication of all tables: those that come are added instead.
fn publication(entry: &Entry, there: &Entry, tables: &[&Entry], offer: &Offer) -> Difference {
    let name = quote_ident(entry.tag());
    let read = |entry: &Entry| {
        let rest = entry.definition().trim().strip_prefix("CREATE PUBLICATION ")?;
        let rest = rest.strip_prefix(&name).or_else(|| rest.strip_prefix(entry.tag()))?;
        let rest = rest.trim_end_matches(';');
        let options = rest.split_once(" WITH (").map(|(_, options)| options.trim_end_matches(')'));
        Some((rest.starts_with(" FOR ALL TABLES"), options.unwrap_or_default().to_owned()))
    };
    let remaining = Difference { remains: true, ..Difference::default() };
    let (Some((all, options)), Some((had_all, had))) = (read(entry), read(there)) else {
        return remaining;
    };
    if there.owner() != Some(&offer.user) {
        return remaining;
    }
    let mut sql = String::new();
    let names: Vec<String> = tables
        .iter()
        .filter(|table| !table.definition().contains("CREATE UNLOGGED TABLE"))
        .map(|table| format!("{}.{}", quote_ident(table.schema()), quote_ident(table.tag())))
        .collect();
    if all && !had_all && !names.is_empty() {
        sql = format!("ALTER PUBLICATION {name} ADD TABLE {};\n", names.join(", "));
    }
    if options != had && !options.is_empty() {
        let root = "publish_via_partition_root";
        let reset = match had.contains(root) && !options.contains(root) {
            true => format!(", {root} = false"),
            false => String::new(),
        };
        sql.push_str(&format!("ALTER PUBLICATION {name} SET ({options}{reset});\n"));
    }
    // Tables that are made later, or that are the host's, do not join by themselves.
    Difference { sql, remains: all != had_all }
}

/// Returns what a person calls it.
pub(super) fn label(entry: &Entry) -> String {
    let dot = if entry.schema().is_empty() { "" } else { "." };
    let kind = match entry.kind() {
        "ACL" => "privileges on".to_owned(),
        kind => kind.to_lowercase(),
    };
    format!("{kind} {}{dot}{}", entry.schema(), entry.tag())
}
