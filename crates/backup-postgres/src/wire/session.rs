//! What the server tells about a session besides its answers.

use std::collections::{BTreeMap, VecDeque};

use postgres_protocol::message::backend::Message;

use super::error::DbError;

/// Notices kept until somebody asks; older ones make room.
const MAX_NOTICES: usize = 256;
/// Parameters and their texts that a server may report; real ones report about fifteen.
const MAX_PARAMETERS: usize = 1024;
/// What the server told about the session.
#[derive(Default)]
pub(crate) struct Session {
    pub(crate) process_id: i32,
    pub(crate) secret_key: i32,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) notices: VecDeque<DbError>,
    pub(super) transaction: TransactionStatus,
}

/// Where the session stands, as of the last statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Outside a transaction.
    #[default]
    Idle,
    /// Inside a transaction.
    Active,
    /// Inside a transaction that failed and can only be rolled back.
    Failed,
}

impl Session {
    /// Takes in a message about the session itself; returns any other.
    pub(crate) fn observe(&mut self, message: Message) -> std::io::Result<Option<Message>> {
        match message {
            Message::NoticeResponse(body) => {
                let notice = DbError::read(body.fields())?;
                tracing::debug!(code = notice.code(), message = notice.message(), "server notice");
                if self.notices.len() == MAX_NOTICES {
                    self.notices.pop_front();
                }
                self.notices.push_back(notice);
            }
            Message::ParameterStatus(body) => {
                if self.parameters.len() < MAX_PARAMETERS {
                    self.parameters.insert(body.name()?.to_owned(), body.value()?.to_owned());
                }
            }
            Message::NotificationResponse(_) => {}
            other => return Ok(Some(other)),
        }
        Ok(None)
    }
}

/// `15.4 (Debian 15.4-1)` → 150004, `9.6.24` → 90624, `18beta1` → 180000.
pub(super) fn version_num(text: &str) -> u32 {
    let mut numbers = text
        .split(|c: char| c != '.' && !c.is_ascii_digit())
        .next()
        .unwrap_or_default()
        .split('.')
        .map(|number| number.parse::<u32>().unwrap_or(0).min(9999));
    let major = numbers.next().unwrap_or(0);
    let minor = numbers.next().unwrap_or(0);
    if major >= 10 {
        return major * 10_000 + minor;
    }
    major * 10_000 + minor * 100 + numbers.next().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::version_num;

    #[test]
    fn versions_become_numbers() {
        for (text, number) in [
            ("15.4 (Debian 15.4-1.pgdg120+1)", 150_004),
            ("18beta1", 180_000),
            ("17.2", 170_002),
            ("9.6.24", 90_624),
            ("16.3.1-vendor", 160_003),
            ("unknown", 0),
            ("", 0),
        ] {
            assert_eq!(version_num(text), number, "{text}");
        }
    }
}
