//! One account as it is stored.

use std::fmt;

use backup_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::account::Account;

/// What making an account again needs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) account: Account,
    /// The statement that makes it, as the server prints it, with the hash of its password.
    pub(crate) create: String,
    /// The statements that give it what it may do; nothing secret is in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) grants: Vec<String>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (account, grants) = (&self.account, &self.grants);
        f.debug_struct("Record")
            .field("account", account)
            .field("grants", grants)
            .finish_non_exhaustive()
    }
}

/// Writes records for storage: one JSON object per line.
pub(crate) fn write(records: &[Record]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for record in records {
        serde_json::to_writer(&mut out, record).map_err(|error| {
            Error::new(ErrorKind::Failed, "describe account")
                .with("account", &record.account)
                .because(error)
        })?;
        out.push(b'\n');
    }
    Ok(out)
}

/// Reads what [`write`] wrote; `Integrity` where it is something else, without repeating it.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Record>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line)
                .map_err(|_| Error::new(ErrorKind::Integrity, "read stored accounts"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_and_show_no_hash() {
        let record = Record {
            account: Account::new("app", Some("%".into())),
            create: "CREATE USER `app`@`%` IDENTIFIED BY PASSWORD '*5EC2E7'".into(),
            grants: vec!["GRANT SELECT ON *.* TO `app`@`%`".into()],
        };
        let role = Record {
            account: Account::new("reader", None),
            create: "CREATE ROLE `reader`".into(),
            grants: Vec::new(),
        };
        let both = [record, role];
        let text = write(&both).unwrap();
        assert_eq!(parse(&text).unwrap(), both);
        assert!(!format!("{both:?}").contains("5EC2E7"));
        let error = parse(b"{\"user\":\"*5EC2E7\"}\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
        assert!(!format!("{error:?}").contains("5EC2E7"));
    }
}
