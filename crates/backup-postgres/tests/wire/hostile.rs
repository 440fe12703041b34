//! A server that breaks the rules, or breaks off: always an error, never a hang, a panic, a
//! success, or memory for what did not come.

use std::time::Duration;

use backup_core::{Error, ErrorKind, ErrorStatus, Result};
use backup_postgres::wire::{certificate, frame};
use backup_postgres::{Client, sqlstate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{connect, options};

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

fn failure(severity: &str, code: &str) -> Vec<u8> {
    message(b'E', format!("S{severity}\0V{severity}\0C{code}\0Mno\0\0").as_bytes())
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

fn welcome() -> Vec<u8> {
    [
        message(b'R', &[0, 0, 0, 0]),
        message(b'S', b"server_version\x0015.4\0"),
        message(b'K', &[0, 0, 0, 9, 0, 0, 0, 8]),
        ready(),
    ]
    .concat()
}

fn one_column(name: &str) -> Vec<u8> {
    let mut body = vec![0, 1];
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(&[0; 19]);
    message(b'T', &body)
}

fn one_value(value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    message(b'D', &[&[0, 1], &length[..], value].concat())
}

fn rows() -> Vec<u8> {
    [one_column("a"), one_value(b"1"), message(b'C', b"SELECT 1\0"), ready()].concat()
}

/// One column in text form: the answer to the beginning of a COPY.
const COPY_TEXT: &[u8] = &[0, 0, 1, 0, 0];

fn copied() -> Vec<u8> {
    [
        message(b'H', COPY_TEXT),
        message(b'd', b"1\n"),
        message(b'd', b"2\n"),
        message(b'c', b""),
        message(b'C', b"COPY 2\0"),
        ready(),
    ]
    .concat()
}

/// Serves `login` to everyone who comes, then `answer` to the first statement, then hangs up.
async fn fake(login: Vec<u8>, answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (login, answer) = (login.clone(), answer.clone());
            tokio::spawn(async move {
                // The client may have hung up on us first.
                let _ = serve(stream, &login, &answer).await;
            });
        }
    });
    format!("postgres://u:p@127.0.0.1:{port}/d?sslmode=disable&connect_timeout=20")
}

async fn serve(mut stream: TcpStream, login: &[u8], answer: &[u8]) -> std::io::Result<()> {
    let length = stream.read_u32().await?;
    let mut startup = vec![0; usize::try_from(length).unwrap() - 4];
    stream.read_exact(&mut startup).await?;
    stream.write_all(login).await?;
    // Nothing to answer: hang up, so that a damaged login is not waited for.
    if !answer.is_empty() {
        let _tag = stream.read_u8().await?;
        let length = stream.read_u32().await?;
        let mut statement = vec![0; usize::try_from(length).unwrap() - 4];
        stream.read_exact(&mut statement).await?;
        stream.write_all(answer).await?;
    }
    stream.shutdown().await?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.map(drop)
}

/// Fails a test that hangs.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
}

async fn log_in(login: Vec<u8>) -> Result<Client> {
    let url = fake(login, Vec::new()).await;
    soon(connect(&url)).await
}

async fn ask(answer: Vec<u8>) -> Result<usize> {
    let url = fake(welcome(), answer).await;
    let mut client = soon(connect(&url)).await?;
    soon(client.query("select 1")).await.map(|rows| rows.len())
}

async fn copy_out(answer: Vec<u8>) -> Result<(Vec<u8>, Option<u64>)> {
    let url = fake(welcome(), answer).await;
    let mut client = soon(connect(&url)).await?;
    let mut copy = soon(client.copy_out("copy t to stdout")).await?;
    let mut bytes = Vec::new();
    while soon(copy.read(&mut bytes)).await? {}
    Ok((bytes, copy.rows()))
}

async fn copy_in(answer: Vec<u8>) -> Result<u64> {
    let url = fake(welcome(), answer).await;
    let mut client = soon(connect(&url)).await?;
    let mut copy = soon(client.copy_in("copy t from stdin")).await?;
    soon(copy.write(b"1\n")).await?;
    soon(copy.finish()).await
}

fn refused(error: &Error, what: &str) {
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable, "{what}: {error:?}");
    assert!(error.remedy().is_some(), "{what}: {error:?}");
}

#[tokio::test]
async fn the_rules_are_kept_by_the_fake_itself() {
    assert_eq!(log_in(welcome()).await.unwrap().server_version_num(), 150_004);
    assert_eq!(ask(rows()).await.unwrap(), 1);
    assert_eq!(copy_out(copied()).await.unwrap(), (b"1\n2\n".to_vec(), Some(2)));
    let stored = [message(b'G', COPY_TEXT), message(b'C', b"COPY 1\0"), ready()].concat();
    // It answers before it was asked to, which the client must notice.
    refused(&copy_in(stored).await.unwrap_err(), "an answer before the end");
}

#[tokio::test]
async fn a_connection_that_ends_at_any_byte_is_an_error() {
    let login = welcome();
    for end in 0..login.len() {
        refused(&log_in(login[..end].to_vec()).await.unwrap_err(), &format!("login {end}"));
    }
    let answer = rows();
    for end in 0..answer.len() {
        refused(&ask(answer[..end].to_vec()).await.unwrap_err(), &format!("rows {end}"));
    }
    let answer = copied();
    for end in 0..answer.len() {
        refused(&copy_out(answer[..end].to_vec()).await.unwrap_err(), &format!("copy {end}"));
    }
    let begin = message(b'G', COPY_TEXT);
    for end in 0..=begin.len() {
        refused(&copy_in(begin[..end].to_vec()).await.unwrap_err(), &format!("copy in {end}"));
    }
}

#[tokio::test]
async fn impossible_lengths_are_refused_at_once() {
    for length in [i32::MIN, -1, 0, 3, 0x4000_0005, i32::MAX] {
        for tag in *b"RSKZENTDCdcGHWvA?\0\xff" {
            let mut bad = vec![tag];
            bad.extend_from_slice(&length.to_be_bytes());
            let what = format!("{} {length}", tag.escape_ascii());
            refused(&log_in(bad.clone()).await.unwrap_err(), &what);
            refused(&ask(bad.clone()).await.unwrap_err(), &what);
            let answer = [message(b'H', COPY_TEXT), message(b'd', b"1\n"), bad.clone()].concat();
            refused(&copy_out(answer).await.unwrap_err(), &what);
            let answer = [message(b'G', COPY_TEXT), bad].concat();
            refused(&copy_in(answer).await.unwrap_err(), &what);
        }
    }
}

#[tokio::test]
async fn messages_out_of_order_are_refused() {
    let begin = || message(b'H', COPY_TEXT);
    let data = || message(b'd', b"1\n");
    let (done, count) = (|| message(b'c', b""), || message(b'C', b"COPY 1\0"));
    for (what, answer) in [
        ("readiness without the end", vec![begin(), data(), ready()]),
        ("a count without the end", vec![begin(), data(), count(), ready()]),
        ("readiness without a count", vec![begin(), data(), done(), ready()]),
        ("data after the end", vec![begin(), done(), data(), count(), ready()]),
        ("data after the count", vec![begin(), done(), count(), data(), ready()]),
        ("two counts", vec![begin(), done(), count(), count(), ready()]),
        ("a strange count", vec![begin(), done(), message(b'C', b"SELECT 1\0"), ready()]),
        ("a negative count", vec![begin(), done(), message(b'C', b"COPY -1\0"), ready()]),
        ("no count in it", vec![begin(), done(), message(b'C', b"COPY\0"), ready()]),
        ("two beginnings", vec![begin(), begin(), done(), count(), ready()]),
        ("rows inside", vec![begin(), rows()]),
        ("replication", vec![message(b'W', COPY_TEXT)]),
        ("replication inside", vec![begin(), message(b'W', COPY_TEXT)]),
        ("replication at the end", vec![begin(), done(), message(b'W', COPY_TEXT)]),
        ("data before the beginning", vec![data(), begin(), done(), count(), ready()]),
        ("the end before the beginning", vec![done(), count(), ready()]),
        ("a strange status", vec![begin(), done(), count(), message(b'Z', b"?")]),
        ("a login", vec![begin(), message(b'R', &[0, 0, 0, 0])]),
        ("an unknown message", vec![begin(), message(b'?', b"")]),
        ("an end with a body", vec![begin(), message(b'c', b"x"), count(), ready()]),
        ("too few formats", vec![message(b'H', &[0, 0, 9, 0, 0]), done(), count(), ready()]),
    ] {
        refused(&copy_out(answer.concat()).await.unwrap_err(), what);
    }
    for (what, answer) in [
        ("a row without description", vec![one_value(b"1"), ready()]),
        ("data", vec![message(b'd', b"1\n"), ready()]),
        ("replication", vec![message(b'W', COPY_TEXT)]),
        ("a login", vec![message(b'R', &[0, 0, 0, 0]), ready()]),
        (
            "too many values",
            vec![one_column("a"), message(b'D', &[0, 2, 255, 255, 255, 255, 255, 255, 255, 255])],
        ),
        ("a value beyond the row", vec![one_column("a"), message(b'D', &[0, 1, 0, 0, 0, 9, b'1'])]),
        ("a negative value", vec![one_column("a"), message(b'D', &[0, 1, 255, 255, 255, 254])]),
        (
            "bytes after the values",
            vec![one_column("a"), message(b'D', &[0, 1, 0, 0, 0, 1, b'1', b'2'])],
        ),
        ("a value that is no text", vec![one_column("a"), one_value(b"\xff\xfe")]),
        ("a description cut short", vec![message(b'T', &[0, 3, b'a', 0])]),
        ("an error without an end", vec![message(b'E', b"SERROR")]),
        ("a tag without an end", vec![message(b'C', b"SELECT 1")]),
        ("a notice without an end", vec![message(b'N', b"SX\0Mx"), rows()]),
    ] {
        refused(&ask(answer.concat()).await.unwrap_err(), what);
    }
}

#[tokio::test]
async fn errors_are_kept_when_the_connection_ends_with_them() {
    let fatal = failure("FATAL", "57P01");
    let error = ask([one_column("a"), one_value(b"1"), fatal.clone()].concat()).await.unwrap_err();
    assert_eq!((sqlstate(&error), error.status()), (Some("57P01"), ErrorStatus::Temporary));
    let started = [message(b'H', COPY_TEXT), message(b'd', b"1\n"), fatal.clone()].concat();
    assert_eq!(sqlstate(&copy_out(started).await.unwrap_err()), Some("57P01"));
    let started = [message(b'G', COPY_TEXT), fatal].concat();
    assert_eq!(sqlstate(&copy_in(started).await.unwrap_err()), Some("57P01"));
    for (code, status) in [
        ("57P03", ErrorStatus::Temporary),
        ("53300", ErrorStatus::Temporary),
        ("28000", ErrorStatus::Permanent),
    ] {
        let error = log_in(failure("FATAL", code)).await.unwrap_err();
        refused(&error, code);
        assert_eq!((sqlstate(&error), error.status()), (Some(code), status));
    }
}

#[tokio::test]
async fn logins_that_prove_nothing_are_refused() {
    let sasl = |names: &[u8]| message(b'R', &[&[0, 0, 0, 10], names].concat());
    let scram = sasl(b"SCRAM-SHA-256\0\0");
    let ok = message(b'R', &[0, 0, 0, 0]);
    for (what, login) in [
        ("let in before the proof", [scram.clone(), ok.clone(), ready()].concat()),
        ("an empty challenge", [scram.clone(), message(b'R', &[0, 0, 0, 11])].concat()),
        (
            "a challenge of others",
            [scram.clone(), message(b'R', b"\0\0\0\x0br=x,s=AAAA,i=4096")].concat(),
        ),
        ("no mechanism that is known", sasl(b"OAUTHBEARER\0\0")),
        ("no mechanism", sasl(b"\0")),
        ("mechanisms without an end", sasl(b"SCRAM")),
        ("the binding alone, without TLS", sasl(b"SCRAM-SHA-256-PLUS\0\0")),
        ("GSSAPI", message(b'R', &[0, 0, 0, 7])),
        ("an unknown demand", message(b'R', &[0, 0, 0, 99])),
        ("a row", [message(b'D', &[0, 0]), welcome()].concat()),
        ("replication", message(b'W', COPY_TEXT)),
        ("a version to negotiate", message(b'v', &[0; 8])),
        ("a long notice", [message(b'N', &vec![b'x'; 80 << 10]), welcome()].concat()),
    ] {
        refused(&log_in(login).await.unwrap_err(), what);
    }
    // On its way over a network, a password needs TLS. 0.0.0.0 is this machine, by a name that
    // does not say so.
    let clear = message(b'R', &[0, 0, 0, 3]);
    let url = fake([clear, welcome()].concat(), Vec::new()).await.replace("127.0.0.1", "0.0.0.0");
    let error = soon(connect(&url)).await.unwrap_err();
    refused(&error, "a password in the clear");
    assert!(error.to_string().contains("clear"), "{error:?}");
}

#[tokio::test]
async fn answers_to_the_question_for_tls_are_taken_exactly() {
    for (answer, word) in [
        (&b"N"[..], "no TLS"),
        (b"E\0\0\0\x08\0\0\0", "strange"),
        (b"X", "strange"),
        (b"", "closed"),
        // What follows the answer is not read as part of the session.
        (b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", "connect"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = answer.to_vec();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 8]).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        });
        let url = format!("postgres://u@127.0.0.1:{port}/d?sslmode=require");
        let error = soon(connect(&url)).await.unwrap_err();
        refused(&error, word);
        assert!(error.to_string().contains(word) || word == "closed", "{error:?}");
    }
}

/// A small generator, so that a failure can be repeated.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }
}

#[tokio::test]
async fn damaged_answers_never_hang_or_panic_and_never_lose_rows_in_silence() {
    let mut noise = Noise(0x5eed);
    for _ in 0..300 {
        let mut answer = copied();
        let at = noise.below(answer.len());
        answer[at] ^= 1 << noise.below(8);
        if let Ok((bytes, rows)) = copy_out(answer).await {
            // Bits of values and of the count may flip; the number of bytes may not.
            assert_eq!(bytes.len(), 4, "{bytes:?} {rows:?}");
        }
        let mut answer = rows();
        let at = noise.below(answer.len());
        answer[at] ^= 1 << noise.below(8);
        let _ = ask(answer).await;
        let mut login = welcome();
        let at = noise.below(login.len() - 6);
        login[at] ^= 1 << noise.below(8);
        let _ = log_in(login).await;
    }
}

#[tokio::test]
async fn the_stall_timeout_also_ends_a_server_that_says_nothing_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 8]).await.unwrap();
        stream.write_all(&welcome()).await.unwrap();
        stream.write_all(&message(b'G', COPY_TEXT)).await.unwrap();
        // Neither reads nor speaks.
        std::future::pending::<()>().await;
    });
    let url = format!("postgres://u@127.0.0.1:{port}/d?sslmode=disable");
    let options = options(&url).with_stall_timeout(Some(Duration::from_millis(300)));
    let mut client = soon(Client::connect(&options)).await.unwrap();
    let mut copy = soon(client.copy_in("copy t from stdin")).await.unwrap();
    let piece = vec![b'x'; 4 << 20];
    let error = loop {
        if let Err(error) = soon(copy.write(&piece)).await {
            break error;
        }
    };
    assert!(error.to_string().contains("0.3 seconds"), "{error:?}");
}

#[test]
fn pure_parsers_survive_any_input() {
    let mut noise = Noise(0xfeed);
    for round in 0..20_000 {
        let length = noise.below(64);
        let mut bytes: Vec<u8> = (0..length).map(|_| noise.next().to_le_bytes()[0]).collect();
        if round % 2 == 0 && !bytes.is_empty() {
            bytes[0] = b'd';
        }
        let mut out = Vec::new();
        if let Ok(scan) = frame::scan_copy_data(&bytes, noise.below(80), &mut out) {
            assert!(scan.consumed <= bytes.len() && out.len() <= bytes.len());
        }
        assert!(out.capacity() <= 256);
        let _ = frame::peek(&bytes, frame::MAX_OTHER);
        let _ = certificate::end_point(&bytes);
    }
}
