//! A throw-away mail server (aiosmtpd) on the loopback interface that keeps what it is given.

use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use crate::sync::lock;
use crate::{process, tools};

/// How connections to the server are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Not at all; no login either.
    None,
    /// STARTTLS, without which neither logins nor mail are taken.
    Starttls,
    /// TLS from the start.
    Tls,
}

/// A mail as the server got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The sender of the envelope.
    pub from: String,
    /// The receivers of the envelope.
    pub to: Vec<String>,
    /// Header and body, with `\n` at the ends of lines.
    pub data: String,
    /// Whether it came over TLS.
    pub encrypted: bool,
    /// Whether the client had logged in.
    pub authenticated: bool,
}

/// A running server; what it was given is in its memory and gone when dropped.
#[derive(Debug)]
pub struct Server {
    port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    process: Child,
    // Certificate and key, read at the start.
    _folder: tempfile::TempDir,
}

/// Prints the port, then a line for every mail: fields are separated by tabs, the data is
/// hexadecimal.
const PROGRAM: &str = r#"
import asyncio, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

protection, user, password, folder = sys.argv[1:5]
context = None
if protection != "none":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")

class Keeper:
    refusals = 0
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later@") and Keeper.refusals < 2:
            Keeper.refusals += 1
            return "451 4.3.0 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        print("\t".join([
            envelope.mail_from, ",".join(envelope.rcpt_tos), envelope.content.hex(),
            str(session.ssl is not None or protection == "tls"), str(session.authenticated),
        ]), flush=True)
        return "250 OK"

def login(server, session, envelope, mechanism, data):
    fits = data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=fits, handled=False)

def serve():
    return SMTP(
        Keeper(), hostname="localhost", authenticator=login,
        auth_required=bool(user), auth_require_tls=protection == "starttls",
        tls_context=context if protection == "starttls" else None,
        require_starttls=protection == "starttls",
    )

async def main():
    server = await asyncio.get_running_loop().create_server(
        serve, "127.0.0.1", 0, ssl=context if protection == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"#;

impl Server {
    /// Starts a server that demands this login (none where the user is empty), with a
    /// certificate and its key in PEM; `None` (and a line on standard error) when aiosmtpd is
    /// not installed and servers are not required.
    ///
    /// # Panics
    /// When it is installed and does not start, or is missing and required.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn start(
        protection: Protection,
        login: (&str, &str),
        certificate: (&str, &str),
    ) -> Option<Self> {
        match Self::try_start(protection, login, certificate) {
            Ok(server) => Some(server),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tools::skip("aiosmtpd (a mail server)");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn try_start(
        protection: Protection,
        (user, password): (&str, &str),
        (certificate, key): (&str, &str),
    ) -> io::Result<Self> {
        let python = python().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("cert.pem"), certificate)?;
        std::fs::write(folder.path().join("key.pem"), key)?;
        let protection = match protection {
            Protection::None => "none",
            Protection::Starttls => "starttls",
            Protection::Tls => "tls",
        };
        let mut process = process::spawn(&python, "KILL", false, |command| {
            command
                .args(["-c", PROGRAM, protection, user, password])
                .arg(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::inherit());
        })?;
        let output = process.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
        let mut lines = BufReader::new(output).lines();
        let port = lines.next().transpose()?.and_then(|line| line.parse().ok());
        let port = port.ok_or_else(|| io::Error::other("aiosmtpd did not start"))?;
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&mails);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                lock(&kept).extend(mail(&line));
            }
        });
        Ok(Self { port, mails, process, _folder: folder })
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until there are so many mails and returns them all.
    ///
    /// # Panics
    /// When they do not come within half a minute.
    #[must_use]
    pub fn mails(&self, count: usize) -> Vec<Mail> {
        for _ in 0..3_000 {
            let mails = lock(&self.mails).clone();
            if mails.len() >= count {
                return mails;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let came = lock(&self.mails).len();
        assert!(came >= count, "{came} of {count} mails came");
        Vec::new()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing to save; an error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn mail(line: &str) -> Option<Mail> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let (from, to, data) = (next()?, next()?, next()?);
    let bytes: Option<Vec<u8>> = (0..data.len() / 2)
        .map(|at| u8::from_str_radix(data.get(at * 2..at * 2 + 2)?, 16).ok())
        .collect();
    Some(Mail {
        from: from.to_owned(),
        to: to.split(',').map(str::to_owned).collect(),
        data: String::from_utf8_lossy(&bytes?).replace("\r\n", "\n"),
        encrypted: next()? == "True",
        authenticated: next()? == "True",
    })
}

/// A Python that has aiosmtpd.
fn python() -> Option<PathBuf> {
    let own = tools::folder().join("py/bin/python");
    [own, PathBuf::from("python3")].into_iter().find(|python| {
        let mut probe = std::process::Command::new(python);
        probe.args(["-c", "import aiosmtpd"]).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    })
}
