//! A session.

use backup_core::{Error, ErrorKind, Result};
use bytes::Bytes;
use futures::stream::BoxStream;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, QueryResult, TextProtocol};

use super::error::failed;
use super::row::{Row, bytes_of};
use crate::ConnectOptions;

/// What every session begins with: names in UTF-8, text that escapes with backslashes, values as
/// they are stored (no conversion of their character set, times in UTC), and no time limit of the
/// server's.
const BEGIN: &str = "SET NAMES utf8mb4, character_set_results = NULL, time_zone = '+00:00', \
     sql_mode = 'NO_AUTO_VALUE_ON_ZERO', wait_timeout = 2147483, net_read_timeout = 86400, \
     net_write_timeout = 86400";

/// One session of one database. Dropping it ends the session; a statement that was under way is
/// killed on the server.
pub struct Client {
    conn: Conn,
    connect: ConnectOptions,
    location: String,
    /// Whether the server was asked something and has not answered whole.
    busy: bool,
}

impl Client {
    /// Connects to the database.
    pub async fn connect(connect: &ConnectOptions) -> Result<Self> {
        Self::connect_to(connect, Some(connect.database())).await
    }

    /// Connects to the server, with no database selected.
    pub async fn connect_to_server(connect: &ConnectOptions) -> Result<Self> {
        Self::connect_to(connect, None).await
    }

    async fn connect_to(connect: &ConnectOptions, database: Option<&str>) -> Result<Self> {
        let location = connect.location();
        let limit = connect.connect_timeout();
        let conn = tokio::time::timeout(limit, Conn::new(connect.driver_options(database))).await;
        let conn = match conn {
            Ok(conn) => {
                conn.map_err(|failure| failed("connect to database", &location, failure))?
            }
            Err(_) => {
                return Err(Error::new(ErrorKind::SourceUnavailable, "connect to database")
                    .with("server", &location)
                    .because(format!("no answer within {} s", limit.as_secs()))
                    .temporary()
                    .hint("Check address, port and firewall."));
            }
        };
        let mut client = Self { conn, connect: connect.clone(), location, busy: false };
        client.execute(BEGIN).await?;
        // Servers that cut long SELECTs off have either of these; others know neither.
        for limit in ["max_execution_time", "max_statement_time"] {
            client.try_set(limit, "0").await?;
        }
        Ok(client)
    }

    /// Returns the session's number on the server.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.conn.id()
    }

    /// Returns the server's version as it greets with it.
    #[must_use]
    pub fn server_version(&self) -> (u16, u16, u16) {
        self.conn.server_version()
    }

    /// Sets a variable of the session; `false` where the server does not know it or does not let
    /// this user set it.
    pub async fn try_set(&mut self, name: &str, value: &str) -> Result<bool> {
        match self.execute(&format!("SET SESSION {name} = {value}")).await {
            Ok(()) => Ok(true),
            Err(error) => match super::error_code(&error) {
                Some(code) if code != super::code::ACCESS_DENIED => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Runs a statement and drops what it returns.
    pub async fn execute(&mut self, sql: &str) -> Result<()> {
        self.busy = true;
        let done = self.conn.query_drop(sql).await;
        self.busy = false;
        done.map_err(|failure| failed("execute statement", &self.location, failure))
    }

    /// Runs a statement that need not be UTF-8, and drops what it returns.
    pub(crate) async fn execute_bytes(&mut self, sql: &[u8]) -> Result<()> {
        self.busy = true;
        let done = self.conn.query_drop(sql).await;
        self.busy = false;
        done.map_err(|failure| failed("execute statement", &self.location, failure))
    }

    /// Returns how many rows the last statement changed.
    pub(crate) fn affected_rows(&self) -> u64 {
        self.conn.affected_rows()
    }

    /// Returns how much the server complained about in the last statement.
    pub(crate) fn warnings(&self) -> u16 {
        self.conn.get_warnings()
    }

    /// Runs a statement and returns its rows; for results that are known to be small.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Row>> {
        self.busy = true;
        let rows = self.conn.query::<mysql_async::Row, _>(sql).await;
        self.busy = false;
        let rows = rows.map_err(|failure| failed("query", &self.location, failure))?;
        Ok(rows.into_iter().map(Row::of).collect())
    }

    /// Runs a statement and returns its first row.
    pub async fn first(&mut self, sql: &str) -> Result<Option<Row>> {
        Ok(self.query(sql).await?.into_iter().next())
    }

    /// Runs a statement and hands out its rows one by one as they come.
    pub(crate) async fn rows(&mut self, sql: &str) -> Result<RowStream<'_>> {
        self.busy = true;
        let Self { conn, location, busy, .. } = self;
        match conn.query_iter(sql.to_owned()).await {
            Ok(result) => Ok(RowStream { result: Some(result), location, busy }),
            Err(failure) => {
                *busy = false;
                Err(failed("read rows", location, failure))
            }
        }
    }

    /// Runs `LOAD DATA LOCAL INFILE` with these bytes as its file. Only what this call hands in is
    /// ever sent, whatever file the server asks for.
    pub(crate) async fn load(
        &mut self,
        sql: &str,
        file: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<Loaded> {
        // The driver wants a handler that could be shared between threads.
        let file = std::sync::Mutex::new(file);
        self.conn.set_infile_handler(async move {
            file.into_inner().map_err(|_| mysql_async::Error::Other("the file is lost".into()))
        });
        self.busy = true;
        let done = self.conn.query_drop(sql).await;
        self.busy = false;
        done.map_err(|failure| failed("load rows", &self.location, failure))?;
        Loaded::parse(&self.conn.info()).ok_or_else(|| {
            Error::new(ErrorKind::Failed, "load rows")
                .with("server", &self.location)
                .because("the server did not say how many rows it took")
        })
    }

    /// Ends the session in order.
    pub async fn close(mut self) {
        // Drop has nothing left to do then; a session that is gone already is as good.
        self.busy = false;
        let _ = self.execute("DO 0").await;
    }

    /// Returns a handle by which the statement under way can be killed.
    fn kill_later(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let options = self.connect.driver_options(None);
        let id = self.conn.id();
        let limit = self.connect.connect_timeout();
        runtime.spawn(async move {
            let kill = async {
                let mut conn = Conn::new(options).await?;
                conn.query_drop(format!("KILL {id}")).await
            };
            // Where it does not work the server notices by itself that nobody reads.
            let _ = tokio::time::timeout(limit, kill).await;
        });
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.busy {
            self.kill_later();
        }
    }
}

/// Rows of one statement as they come.
pub(crate) struct RowStream<'a> {
    result: Option<QueryResult<'a, 'static, TextProtocol>>,
    location: &'a str,
    busy: &'a mut bool,
}

impl RowStream<'_> {
    /// Returns the next row, nothing after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Option<Vec<u8>>>>> {
        let Some(result) = &mut self.result else { return Ok(None) };
        match result.next().await {
            Ok(Some(row)) => Ok(Some(row.unwrap().into_iter().map(bytes_of).collect())),
            Ok(None) => {
                self.result = None;
                *self.busy = false;
                Ok(None)
            }
            Err(failure) => {
                self.result = None;
                *self.busy = false;
                Err(failed("read rows", self.location, failure))
            }
        }
    }
}

/// What the server says of a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// Rows it read.
    pub(crate) records: u64,
    /// Rows that others were replaced by.
    pub(crate) deleted: u64,
    /// Rows that it left out.
    pub(crate) skipped: u64,
    /// Values that it changed, and other complaints.
    pub(crate) warnings: u64,
}

impl Loaded {
    /// Reads `Records: 3  Deleted: 0  Skipped: 0  Warnings: 0`.
    fn parse(info: &str) -> Option<Self> {
        let number = |name: &str| -> Option<u64> {
            let after = info.split_once(name)?.1.trim_start();
            let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        Some(Self {
            records: number("Records:")?,
            deleted: number("Deleted:")?,
            skipped: number("Skipped:")?,
            warnings: number("Warnings:")?,
        })
    }

    /// Returns whether every row went in as it was.
    pub(crate) fn is_exact(self) -> bool {
        self.deleted == 0 && self.skipped == 0 && self.warnings == 0
    }
}

#[cfg(test)]
mod tests {
    use super::Loaded;

    #[test]
    fn the_servers_word_about_a_load_is_read() {
        let said = Loaded::parse("Records: 12  Deleted: 0  Skipped: 3  Warnings: 4");
        let said = said.unwrap();
        assert_eq!((said.records, said.skipped, said.warnings), (12, 3, 4));
        assert!(!said.is_exact() && Loaded::parse("Rows matched: 1").is_none());
    }
}
