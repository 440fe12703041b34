//! Vitess's rules in front of a real MariaDB: a proxy that speaks MySQL's protocol.
//!
//! What it enforces is what Vitess documents, and what its gate is known to do: transactions end
//! after a while, a result that is not streamed (`workload = 'olap'`) has few rows, no message is
//! larger than so much, locks, consistent snapshots and statements about databases are refused,
//! unknown variables are errors and known ones may have no effect, complaints are not passed on.
//! Keyspaces are databases of the server; of one that is sharded each shard is the database
//! `keyspace/shard`. On demand a result breaks off, fails or ends early in its middle.
//!
//! ```no_run
//! use backup_testkit::mariadb::MariaDb;
//! use backup_testkit::vitess::{Keyspace, Vitess};
//!
//! let Some(server) = MariaDb::start(&[]) else { return };
//! let vitess = Vitess::before(server.port(), vec![Keyspace::new("shop", &["-"])]);
//! println!("{}", vitess.url("root", "shop"));
//! ```

mod rules;
mod session;
mod wire;

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::sync::lock;

/// A keyspace that the proxy knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyspace {
    /// Its name.
    pub name: String,
    /// Its shards: `-` alone, or ranges such as `-80` and `80-`.
    pub shards: Vec<String>,
    /// Whether foreign keys are refused.
    pub no_foreign_keys: bool,
    /// Whether statements that change the schema are refused.
    pub safe_migrations: bool,
}

impl Keyspace {
    /// Takes a name and its shards.
    #[must_use]
    pub fn new(name: &str, shards: &[&str]) -> Self {
        let shards = shards.iter().map(|shard| (*shard).to_owned()).collect();
        Self { name: name.to_owned(), shards, no_foreign_keys: false, safe_migrations: false }
    }

    /// Returns the databases on the server that hold its rows.
    #[must_use]
    pub fn databases(&self) -> Vec<String> {
        self.shards.iter().map(|shard| self.database(shard)).collect()
    }

    fn is_sharded(&self) -> bool {
        self.shards.len() > 1
    }

    fn database(&self, shard: &str) -> String {
        if self.is_sharded() { format!("{}/{shard}", self.name) } else { self.name.clone() }
    }
}

/// How much is too much.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows of a result that is not streamed.
    pub rows: usize,
    /// Bytes of such a result, and of a row of any.
    pub bytes: usize,
    /// The age of a transaction.
    pub transaction: Duration,
}

impl Default for Limits {
    /// PlanetScale's.
    fn default() -> Self {
        Self { rows: 100_000, bytes: 64 << 20, transaction: Duration::from_secs(20) }
    }
}

/// What goes wrong in the middle of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The connection is gone.
    Cut,
    /// The server says that a tablet is.
    Fail,
    /// The result ends as if it were whole.
    EndEarly,
}

/// A mishap that waits for its statement.
#[derive(Clone, Debug)]
struct Trap {
    needle: String,
    rows: usize,
    mishap: Mishap,
    times: usize,
}

/// The proxy. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct Vitess {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: u16,
    version: Mutex<String>,
    keyspaces: Mutex<Vec<Keyspace>>,
    limits: Mutex<Limits>,
    traps: Mutex<Vec<Trap>>,
    log: Mutex<Vec<String>>,
    open: Mutex<Vec<TcpStream>>,
    over: AtomicBool,
}

impl Vitess {
    /// Starts one in front of the server at a port of this machine.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn before(upstream: u16, keyspaces: Vec<Keyspace>) -> Self {
        match Self::try_before(upstream, keyspaces) {
            Ok(proxy) => proxy,
            Err(error) => panic!("Vitess's proxy: {error}"),
        }
    }

    fn try_before(upstream: u16, keyspaces: Vec<Keyspace>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            upstream,
            version: Mutex::new("8.0.40-Vitess".to_owned()),
            keyspaces: Mutex::new(keyspaces),
            limits: Mutex::default(),
            traps: Mutex::default(),
            log: Mutex::default(),
            open: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.over.load(Ordering::Acquire) {
                    return;
                }
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || {
                    // Whoever hangs up has had enough.
                    let _ = session::serve(&serving, client);
                });
            }
        });
        Ok(Self { port, shared })
    }

    /// The TCP port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `mysql://USER@127.0.0.1:PORT/KEYSPACE`; `user` may hold `:password`.
    #[must_use]
    pub fn url(&self, user: &str, keyspace: &str) -> String {
        format!("mysql://{user}@127.0.0.1:{}/{keyspace}", self.port)
    }

    /// Sets limits for what is asked from now on.
    pub fn limit(&self, limits: Limits) {
        *lock(&self.shared.limits) = limits;
    }

    /// Greets whoever comes from now on as this version.
    pub fn call_itself(&self, version: &str) {
        version.clone_into(&mut lock(&self.shared.version));
    }

    /// Changes the keyspaces.
    pub fn keyspaces(&self, change: impl FnOnce(&mut Vec<Keyspace>)) {
        change(&mut lock(&self.shared.keyspaces));
    }

    /// The next `times` results of statements that hold `needle` go wrong after so many rows.
    pub fn trap(&self, needle: &str, rows: usize, mishap: Mishap, times: usize) {
        let needle = needle.to_owned();
        lock(&self.shared.traps).push(Trap { needle, rows, mishap, times });
    }

    /// Returns every statement so far, as it was given.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        lock(&self.shared.log).clone()
    }
}

impl Drop for Vitess {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        for stream in lock(&self.shared.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}
