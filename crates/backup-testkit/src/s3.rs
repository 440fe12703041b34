//! A throw-away S3 server (moto) on the loopback interface: ranges, multi-part uploads and
//! conditional writes behave as on the real service; signatures are not checked.
//!
//! ```no_run
//! use backup_testkit::s3::Server;
//!
//! let Some(server) = Server::start() else { return };
//! assert!(server.endpoint().starts_with("http://127.0.0.1:"));
//! let another = server.create_bucket("second").unwrap();
//! assert_ne!(another, server.bucket());
//! ```

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::{process, tools};

const PATIENCE: Duration = Duration::from_secs(90);

/// A running server with one empty bucket; everything is in its memory and gone when dropped.
#[derive(Debug)]
pub struct Server {
    port: u16,
    bucket: String,
    process: Child,
    log: tempfile::NamedTempFile,
}

impl Server {
    /// Starts a server; `None` (and a line on standard error) when moto is not installed and
    /// servers are not required.
    ///
    /// # Panics
    /// When it is installed and does not start, or is missing and required.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn start() -> Option<Self> {
        match Self::try_start() {
            Ok(server) => Some(server),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tools::skip("moto_server (an S3 server)");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts a server; `NotFound` when moto is not installed.
    pub fn try_start() -> io::Result<Self> {
        let program = program().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "moto_server is not installed")
        })?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = tempfile::NamedTempFile::new()?;
        let (output, errors) = (log.reopen()?, log.reopen()?);
        let process = process::spawn(&program, "KILL", false, |command| {
            command
                .args(["-H", "127.0.0.1", "-p", &port.to_string()])
                .stdin(Stdio::null())
                .stdout(output)
                .stderr(errors);
        })?;
        let mut server = Self { port, bucket: "backup-test".to_owned(), process, log };
        server.await_first_bucket()?;
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The name of the bucket made at the start.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// An access key the server accepts.
    #[must_use]
    pub fn access_key(&self) -> &'static str {
        "AKIATESTONLY00000001"
    }

    /// The secret that goes with it.
    #[must_use]
    pub fn secret_key(&self) -> &'static str {
        "test-only-secret-of-the-fixture"
    }

    /// The region to name in requests.
    #[must_use]
    pub fn region(&self) -> &'static str {
        "us-east-1"
    }

    /// Makes another empty bucket and returns its name.
    pub fn create_bucket(&self, name: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "PUT /{name} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n",
            self.port
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.lines().next().unwrap_or_default();
        if status.split(' ').nth(1) == Some("200") {
            return Ok(name.to_owned());
        }
        Err(io::Error::other(format!("creating bucket {name}: {status}")))
    }

    fn await_first_bucket(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            match self.create_bucket(&self.bucket) {
                Ok(_) => return Ok(()),
                Err(error) => {
                    let ended = self.process.try_wait()?.is_some();
                    if ended || begun.elapsed() > PATIENCE {
                        let said = std::fs::read_to_string(self.log.path()).unwrap_or_default();
                        let why = format!("moto_server did not start: {error}\n{said}");
                        return Err(io::Error::other(why));
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing to save; an error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> Option<PathBuf> {
    let own = tools::folder().join("py/bin/moto_server");
    if own.is_file() { Some(own) } else { tools::find_program("moto_server") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_with_a_bucket_and_ends_with_its_value() {
        let Some(server) = Server::start() else { return };
        assert_eq!(server.create_bucket("another-one").unwrap(), "another-one");
        let port = server.port;
        drop(server);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
