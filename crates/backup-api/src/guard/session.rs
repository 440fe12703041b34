//! Browsers that showed a token: a random name in a cookie, remembered while the server runs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backup_core::Result;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

use super::token::random;

const LASTS: Duration = Duration::from_secs(12 * 3600);
const MOST: usize = 1000;

/// Sessions by the hash of their name, so that a look-up's time tells nothing.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

#[derive(Debug)]
struct Session {
    token: String,
    ends: Duration,
}

impl Sessions {
    /// Begins a session of a token's id; returns what the cookie holds.
    pub(crate) fn begin(&self, token: &str, now: Duration) -> Result<String> {
        let name = BASE64URL_NOPAD.encode(&random::<32>()?);
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.ends > now);
        if sessions.len() >= MOST {
            let oldest = sessions.iter().min_by_key(|(_, s)| s.ends).map(|(key, _)| key.clone());
            oldest.and_then(|key| sessions.remove(&key));
        }
        sessions.insert(key(&name), Session { token: token.to_owned(), ends: now + LASTS });
        Ok(name)
    }

    /// Returns the token's id of a session.
    pub(crate) fn token(&self, name: &str, now: Duration) -> Option<String> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(&key(name))?;
        (session.ends > now).then(|| session.token.clone())
    }

    /// Ends a session; returns whether there was one.
    pub(crate) fn end(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(name)).is_some()
    }
}

fn key(name: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_by_themselves_and_when_told() {
        let sessions = Sessions::default();
        let one = sessions.begin("abc", Duration::ZERO).unwrap();
        assert_eq!(sessions.token(&one, Duration::from_secs(1)).as_deref(), Some("abc"));
        assert_eq!(sessions.token(&one, LASTS), None);
        assert!(sessions.end(&one) && !sessions.end(&one));
        assert_eq!(sessions.token(&one, Duration::ZERO), None);
        assert_eq!(sessions.token("", Duration::ZERO), None);
    }

    #[test]
    fn they_do_not_grow_without_end() {
        let sessions = Sessions::default();
        for _ in 0..MOST + 50 {
            sessions.begin("abc", Duration::ZERO).unwrap();
        }
        assert_eq!(sessions.0.lock().unwrap().len(), MOST);
    }
}
