//! One client, and its connection to the server.

use std::io::{self, BufWriter, Write};
use std::net::{Shutdown, TcpStream};

use super::rules::{self, Session, Verdict};
use super::{Limits, Mishap, Shared, wire};
use crate::sync::lock;

/// The connection's commands.
const QUIT: u8 = 0x01;
const USE: u8 = 0x02;
const QUERY: u8 = 0x03;
const PING: u8 = 0x0e;

pub(super) fn serve(shared: &Shared, mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = TcpStream::connect(("127.0.0.1", shared.upstream))?;
    server.set_nodelay(true)?;
    lock(&shared.open).extend([client.try_clone()?, server.try_clone()?]);
    let done = Talk { shared, client: &mut client, server: &mut server }.run();
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    done
}

struct Talk<'a> {
    shared: &'a Shared,
    client: &'a mut TcpStream,
    server: &'a mut TcpStream,
}

impl Talk<'_> {
    fn run(&mut self) -> io::Result<()> {
        let Some(mut session) = self.log_in()? else { return Ok(()) };
        loop {
            let (packet, _) = wire::read(self.client)?;
            let (command, body) = packet.split_first().map_or((QUIT, &[][..]), |(c, b)| (*c, b));
            let text = String::from_utf8_lossy(body).into_owned();
            let sql = match command {
                QUIT => return Ok(()),
                PING => {
                    self.answer(&wire::ok())?;
                    continue;
                }
                USE => format!("USE `{text}`"),
                QUERY => text,
                _ => {
                    self.answer(&wire::error(1235, "HY000", "VT12001: unsupported: command"))?;
                    continue;
                }
            };
            lock(&self.shared.log).push(sql.clone());
            if let Some(refusal) = self.too_old(&mut session)? {
                self.answer(&refusal)?;
                continue;
            }
            let known = lock(&self.shared.keyspaces).clone();
            let version = lock(&self.shared.version).clone();
            match rules::judge(&sql, &mut session, &known, &version) {
                Verdict::Done => self.answer(&wire::ok())?,
                Verdict::Refuse(code, text) => {
                    self.answer(&wire::error(code, "HY000", &text))?;
                }
                // What was not changed is passed on byte by byte, text or not.
                Verdict::Ask(asked) => {
                    let same = command == QUERY && asked == sql;
                    let statement = if same { body.to_vec() } else { asked.into_bytes() };
                    if !self.ask(&sql, &statement, &mut session)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Passes greeting and login on; the session begins in the keyspace that the client names.
    fn log_in(&mut self) -> io::Result<Option<Session>> {
        let (greeting, number) = wire::read(self.server)?;
        if wire::is_error(&greeting) {
            wire::write(self.client, &greeting, number)?;
            return Ok(None);
        }
        let version = lock(&self.shared.version).clone();
        wire::write(self.client, &wire::greeting(&greeting, &version), number)?;
        let (login, number) = wire::read(self.client)?;
        wire::write(self.server, &login, number)?;
        loop {
            let (reply, number) = wire::read(self.server)?;
            wire::write(self.client, &reply, number)?;
            match reply.first() {
                Some(0) => break,
                Some(0xff) => return Ok(None),
                _ => {
                    let (more, number) = wire::read(self.client)?;
                    wire::write(self.server, &more, number)?;
                }
            }
        }
        let known = lock(&self.shared.keyspaces).clone();
        let named = known.into_iter().find(|one| holds(&login, one.name.as_bytes()));
        let keyspace = named.map(|one| one.name).unwrap_or_default();
        Ok(Some(Session { keyspace, ..Session::default() }))
    }

    fn answer(&mut self, packet: &[u8]) -> io::Result<()> {
        wire::write(self.client, packet, 1)?;
        self.client.flush()
    }

    /// A transaction that is too old is rolled back, whatever is asked of it.
    fn too_old(&mut self, session: &mut Session) -> io::Result<Option<Vec<u8>>> {
        let limit = lock(&self.shared.limits).transaction;
        if session.transaction.is_none_or(|begun| begun.elapsed() <= limit) {
            return Ok(None);
        }
        session.transaction = None;
        self.send(b"ROLLBACK")?;
        wire::read(self.server)?;
        let text = format!(
            "vttablet: rpc error: code = Aborted desc = transaction 1: ended (exceeded timeout: {limit:?})"
        );
        Ok(Some(wire::error(1317, "70100", &text)))
    }

    fn send(&mut self, statement: &[u8]) -> io::Result<()> {
        let mut packet = vec![QUERY];
        packet.extend_from_slice(statement);
        let mut whole = Vec::with_capacity(packet.len() + 4);
        wire::write(&mut whole, &packet, 0)?;
        self.server.write_all(&whole)
    }

    /// Asks the server and passes its answer on; `false` where the connection is to end.
    fn ask(&mut self, sql: &str, statement: &[u8], session: &mut Session) -> io::Result<bool> {
        self.send(statement)?;
        let limits = *lock(&self.shared.limits);
        let trap = take_trap(self.shared, sql);
        let (first, _) = wire::read(self.server)?;
        match first.first() {
            Some(0) => {
                rules::follow(sql, session);
                self.answer(&first)?;
                return Ok(true);
            }
            Some(0xff) => {
                self.answer(&first)?;
                return Ok(true);
            }
            _ => {}
        }
        let mut out = Outgoing::new(self.client.try_clone()?, session.olap, limits, &first)?;
        // Columns, up to their end.
        loop {
            let (column, _) = wire::read(self.server)?;
            let last = wire::is_end(&column);
            out.head(&column)?;
            if last {
                break;
            }
        }
        let mut rows = 0;
        loop {
            if let Some((_, mishap)) = trap.filter(|(after, _)| *after == rows) {
                match mishap {
                    Mishap::Cut => {
                        out.finish(None)?;
                        return Ok(false);
                    }
                    Mishap::Fail => {
                        self.drain()?;
                        let text = "target: shop.-.primary: vttablet: rpc error: code = Unavailable \
                                    desc = error reading from server: EOF";
                        out.finish(Some(&wire::error(1105, "HY000", text)))?;
                        return Ok(true);
                    }
                    Mishap::EndEarly => {
                        self.drain()?;
                        out.finish(Some(&wire::end()))?;
                        return Ok(true);
                    }
                }
            }
            let (row, _) = wire::read(self.server)?;
            if wire::is_end(&row) || wire::is_error(&row) {
                out.finish(Some(&row))?;
                return Ok(true);
            }
            rows += 1;
            if let Some(refusal) = out.row(&row, rows)? {
                self.drain()?;
                out.finish(Some(&refusal))?;
                return Ok(true);
            }
        }
    }

    /// Reads the rest of a result.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            let (row, _) = wire::read(self.server)?;
            if wire::is_end(&row) || wire::is_error(&row) {
                return Ok(());
            }
        }
    }
}

fn holds(text: &[u8], name: &[u8]) -> bool {
    let mut wanted = name.to_vec();
    wanted.push(0);
    text.windows(wanted.len()).any(|part| part == wanted)
}

fn take_trap(shared: &Shared, sql: &str) -> Option<(usize, Mishap)> {
    let mut traps = lock(&shared.traps);
    let trap = traps.iter_mut().find(|trap| trap.times > 0 && sql.contains(&trap.needle))?;
    trap.times -= 1;
    Some((trap.rows, trap.mishap))
}

/// A result on its way to the client: held back until it is whole unless it is streamed.
struct Outgoing {
    client: BufWriter<TcpStream>,
    held: Vec<Vec<u8>>,
    bytes: usize,
    streams: bool,
    limits: Limits,
    number: u8,
}

impl Outgoing {
    fn new(client: TcpStream, streams: bool, limits: Limits, first: &[u8]) -> io::Result<Self> {
        let client = BufWriter::with_capacity(1 << 16, client);
        let mut out = Self { client, held: Vec::new(), bytes: 0, streams, limits, number: 1 };
        out.head(first)?;
        Ok(out)
    }

    fn head(&mut self, packet: &[u8]) -> io::Result<()> {
        if !self.streams {
            self.held.push(packet.to_vec());
            return Ok(());
        }
        self.number = wire::write(&mut self.client, packet, self.number)?;
        Ok(())
    }

    /// Takes a row; returns the error where it is one too many, or too large.
    fn row(&mut self, row: &[u8], rows: usize) -> io::Result<Option<Vec<u8>>> {
        self.bytes = if self.streams { row.len() } else { self.bytes + row.len() };
        let refusal = if !self.streams && rows > self.limits.rows {
            let text = format!("Row count exceeded {}", self.limits.rows);
            Some(wire::error(1203, "HY000", &text))
        } else if self.bytes > self.limits.bytes {
            let text = format!(
                "rpc error: code = ResourceExhausted desc = grpc: received message larger than max ({} vs. {})",
                self.bytes, self.limits.bytes
            );
            Some(wire::error(1203, "HY000", &text))
        } else {
            None
        };
        if refusal.is_some() {
            self.held.clear();
            return Ok(refusal);
        }
        self.head(row)?;
        Ok(None)
    }

    /// Sends what was held back, and this last.
    fn finish(&mut self, last: Option<&[u8]>) -> io::Result<()> {
        for packet in std::mem::take(&mut self.held) {
            self.number = wire::write(&mut self.client, &packet, self.number)?;
        }
        if let Some(last) = last {
            self.number = wire::write(&mut self.client, last, self.number)?;
        }
        self.client.flush()
    }
}
