//! Who may.

pub(crate) mod origin;
pub(crate) mod rate;
mod session;
pub(crate) mod token;

use std::net::IpAddr;
use std::sync::Arc;

use backup_core::Result;
use backup_core::port::Clock;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

use crate::port::{Ledger, Role, TokenRecord};
use crate::settings::{Settings, is_loopback};
use rate::Rate;
use session::Sessions;

/// The name of the cookie that holds a session's name.
pub(crate) const COOKIE_NAME: &str = "backup_session";

/// From where a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Over TCP.
    Address(IpAddr),
    /// Over the socket whose file decides who may connect.
    Socket,
}

impl Peer {
    /// Returns the address that counts for limits.
    pub(crate) fn address(self) -> IpAddr {
        match self {
            Self::Address(address) => address,
            Self::Socket => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{}", address.to_canonical()),
            Self::Socket => f.write_str("socket"),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// `token NAME`, `local` or `nobody`.
    pub(crate) name: String,
    /// What they may; nothing without.
    pub(crate) role: Option<Role>,
    /// Whether they showed something and it was not good.
    pub(crate) refused: bool,
    /// Whether they are known by a cookie.
    pub(crate) session: bool,
}

impl Caller {
    fn nobody(refused: bool) -> Self {
        Self { name: "nobody".into(), role: None, refused, session: false }
    }

    fn local(role: Role) -> Self {
        Self { name: "local".into(), role: Some(role), refused: false, session: false }
    }

    fn of(record: &TokenRecord, session: bool) -> Self {
        let name = format!("token {}", record.name);
        Self { name, role: Some(record.role), refused: false, session }
    }

    pub(crate) fn may(&self, role: Role) -> bool {
        self.role.is_some_and(|own| own >= role)
    }
}

/// Knows callers and counts their requests.
pub(crate) struct Guard {
    settings: Settings,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    pub(crate) sessions: Sessions,
    pub(crate) requests: Rate,
    pub(crate) failures: Rate,
}

impl Guard {
    pub(crate) fn new(settings: Settings, ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>) -> Self {
        let limits = &settings.limits;
        Self {
            requests: Rate::new(limits.requests_a_second, limits.burst),
            failures: Rate::new(limits.failures_a_minute / 60.0, limits.failures_a_minute),
            sessions: Sessions::default(),
            settings,
            ledger,
            clock,
        }
    }

    /// Says who asks: by a token, by a session's cookie, or by being on this machine.
    pub(crate) async fn identify(&self, peer: Peer, headers: &HeaderMap) -> Result<Caller> {
        if peer == Peer::Socket {
            return Ok(Caller::local(Role::Admin));
        }
        if let Some(value) = headers.get(AUTHORIZATION) {
            let shown = value.to_str().ok().and_then(bearer);
            let caller = match shown {
                Some(shown) => self.by_token(shown).await?,
                None => None,
            };
            return Ok(caller.unwrap_or_else(|| Caller::nobody(true)));
        }
        if let Some(name) = cookie(headers)
            && let Some(caller) = self.by_session(name).await?
        {
            return Ok(caller);
        }
        let near = is_loopback(self.settings.listen.ip())
            && is_loopback(peer.address())
            && !origin::is_forwarded(headers)
            && origin::host_is_ours(headers, &self.settings.hosts);
        Ok(match (near, self.settings.open_writes) {
            (true, true) => Caller::local(Role::Operator),
            (true, false) => Caller::local(Role::Viewer),
            (false, _) => Caller::nobody(false),
        })
    }

    /// Returns the caller a token names, if it is good now.
    pub(crate) async fn by_token(&self, shown: &str) -> Result<Option<Caller>> {
        let records = self.ledger.tokens().await?;
        let found = token::recognise(shown, &records, self.clock.now());
        Ok(found.map(|record| Caller::of(record, false)))
    }

    async fn by_session(&self, name: &str) -> Result<Option<Caller>> {
        let Some(id) = self.sessions.token(name, self.clock.elapsed()) else { return Ok(None) };
        let records = self.ledger.tokens().await?;
        let now = self.clock.now();
        let found = records.iter().find(|r| r.id == id && token::is_good(r, now));
        Ok(found.map(|record| Caller::of(record, true)))
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns the session's name out of the cookies.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE_NAME)
        .map(|(_, value)| value)
}
