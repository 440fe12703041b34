//! Clients that ask as fast as they are answered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};

/// So many requests come from one address: fewer than are too many at once.
const EACH: usize = 150;

/// What came out, in milliseconds.
pub(super) struct Figures {
    pub(super) bytes: usize,
    pub(super) a_second: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) longest: f64,
}

/// Asks once.
pub(super) fn get(address: SocketAddr, target: &str) -> Result<String> {
    let mut connection = Connection::open(address)?;
    connection.ask(target)?;
    Ok(String::from_utf8_lossy(&connection.body).into_owned())
}

/// Asks for one thing from many clients until the time is over.
pub(super) fn load(
    address: SocketAddr,
    target: &str,
    clients: usize,
    time: Duration,
) -> Result<Figures> {
    let end = Instant::now() + time;
    let begun = Instant::now();
    let all: Vec<Result<(Vec<f64>, usize)>> = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..clients).map(|_| scope.spawn(|| client(address, target, end))).collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|done| done.unwrap_or_else(|_| bail!("a client ended early"))).collect()
    });
    let took = begun.elapsed().as_secs_f64();
    let (mut waits, mut bytes) = (Vec::new(), 0);
    for one in all {
        let (own, size) = one?;
        waits.extend(own);
        bytes = bytes.max(size);
    }
    waits.sort_by(f64::total_cmp);
    let share = |part: f64| {
        let place = ((waits.len() as f64 * part) as usize).min(waits.len().saturating_sub(1));
        waits.get(place).copied().unwrap_or_default() * 1000.0
    };
    Ok(Figures {
        bytes,
        a_second: waits.len() as f64 / took,
        p50: share(0.5),
        p99: share(0.99),
        longest: share(1.0),
    })
}

fn client(address: SocketAddr, target: &str, end: Instant) -> Result<(Vec<f64>, usize)> {
    let (mut waits, mut bytes) = (Vec::new(), 0);
    while Instant::now() < end {
        let mut connection = Connection::open(address)?;
        for _ in 0..EACH {
            let begun = Instant::now();
            if begun >= end {
                break;
            }
            connection.ask(target)?;
            waits.push(begun.elapsed().as_secs_f64());
            bytes = connection.body.len();
        }
    }
    Ok((waits, bytes))
}

struct Connection {
    stream: BufReader<TcpStream>,
    head: String,
    body: Vec<u8>,
}

impl Connection {
    /// Connects from an address that nobody had before.
    fn open(address: SocketAddr) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1 << 8);
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % (1 << 24);
        let own = Ipv4Addr::from(0x7f00_0000 | number.max(2));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((own, 0)).into())?;
        socket.connect(&address.into()).context("connect to backupd")?;
        socket.set_tcp_nodelay(true)?;
        let head = format!("HTTP/1.1\r\nHost: {address}\r\n\r\n");
        Ok(Self { stream: BufReader::new(socket.into()), head, body: Vec::new() })
    }

    /// Asks, and reads the whole answer; anything but 200 is an error.
    fn ask(&mut self, target: &str) -> Result<()> {
        let request = format!("GET {target} {}", self.head);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut length) = (String::new(), None);
        self.stream.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200") {
            bail!("{target}: {line:?}");
        }
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            if let Some((name, value)) = text.split_once(": ")
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.parse()?);
            }
        }
        self.body.resize(length.context("an answer without its length")?, 0);
        Ok(self.stream.read_exact(&mut self.body)?)
    }
}
