//! Tokens: made, and recognised.

use backup_core::{Error, ErrorKind, Result, Secret};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::port::{Role, TokenRecord};

const PREFIX: &str = "bkp";

/// Makes a token; returns it and what to keep of it. It is shown once and cannot be had again:
/// the record holds a hash of its 256 random bits.
pub fn make(
    name: &str,
    role: Role,
    now: Timestamp,
    expires_at: Option<Timestamp>,
) -> Result<(Secret, TokenRecord)> {
    let good = !name.is_empty()
        && name.chars().count() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_. @".contains(c));
    if !good {
        return Err(Error::new(ErrorKind::Usage, "name a token")
            .with("name", name.escape_debug())
            .hint("Use 1 to 64 letters, digits, spaces, '-', '_', '.' or '@'."));
    }
    let id = HEXLOWER.encode(&random::<6>()?);
    let token = format!("{PREFIX}_{id}_{}", BASE64URL_NOPAD.encode(&random::<32>()?));
    let record = TokenRecord {
        id,
        name: name.to_owned(),
        role,
        hash: hash(&token),
        created_at: now,
        expires_at,
        revoked_at: None,
    };
    Ok((Secret::new(token), record))
}

/// Returns the record of a token that was shown, if it is good now. Takes the same time for
/// every token of a known id.
pub(crate) fn recognise<'a>(
    shown: &str,
    records: &'a [TokenRecord],
    now: Timestamp,
) -> Option<&'a TokenRecord> {
    let (prefix, rest) = shown.split_once('_')?;
    let (id, _) = rest.split_once('_')?;
    if prefix != PREFIX {
        return None;
    }
    let record = records.iter().find(|record| record.id == id)?;
    let same = hash(shown).as_bytes().ct_eq(record.hash.as_bytes());
    (bool::from(same) && is_good(record, now)).then_some(record)
}

pub(crate) fn is_good(record: &TokenRecord, now: Timestamp) -> bool {
    record.revoked_at.is_none() && record.expires_at.is_none_or(|end| now < end)
}

fn hash(token: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(token.as_bytes()))
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Failed, "read random bytes").because(std::io::Error::other(error))
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_is_good_until_it_is_revoked_or_ends() {
        let made = at("2026-01-01T00:00:00Z");
        let end = at("2026-02-01T00:00:00Z");
        let (token, record) = make("ci", Role::Operator, made, Some(end)).unwrap();
        let mut records = vec![record];
        assert_eq!(recognise(token.expose(), &records, made).unwrap().name, "ci");
        assert!(recognise(token.expose(), &records, end).is_none());
        records[0].revoked_at = Some(made);
        assert!(recognise(token.expose(), &records, made).is_none());
    }

    #[test]
    fn nothing_else_is_good_and_the_token_is_not_kept() {
        let now = at("2026-01-01T00:00:00Z");
        let (token, record) = make("ci", Role::Admin, now, None).unwrap();
        let (other, _) = make("ci", Role::Admin, now, None).unwrap();
        let text = token.expose();
        assert!(
            !serde_json::to_string(&record).unwrap().contains(text.rsplit('_').next().unwrap())
        );
        let (head, _) = text.rsplit_once('_').unwrap();
        let foreign = format!("{head}_{}", other.expose().rsplit_once('_').unwrap().1);
        let records = [record];
        for bad in
            ["", "_", "bkp", "bkp__", head, &text[..text.len() - 1], &foreign, &records[0].hash]
        {
            assert!(recognise(bad, &records, now).is_none(), "{bad}");
        }
    }

    #[test]
    fn names_stay_readable() {
        let now = at("2026-01-01T00:00:00Z");
        for bad in ["", "a\nb", "<b>", &"x".repeat(65)] {
            assert!(make(bad, Role::Viewer, now, None).is_err(), "{bad:?}");
        }
    }
}
