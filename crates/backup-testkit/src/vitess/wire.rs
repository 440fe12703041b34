//! Packets of MySQL's protocol.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// The longest piece of a packet.
const PIECE: usize = 0xff_ffff;

/// Reads a packet, put together again where it came in pieces, and the number of its last piece.
pub(super) fn read(from: &mut TcpStream) -> io::Result<(Vec<u8>, u8)> {
    let mut payload = Vec::new();
    loop {
        let mut head = [0; 4];
        from.read_exact(&mut head)?;
        let [a, b, c, number] = head;
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        let begin = payload.len();
        payload.resize(begin + length, 0);
        from.read_exact(payload.get_mut(begin..).unwrap_or_default())?;
        if length < PIECE {
            return Ok((payload, number));
        }
    }
}

/// Writes a packet, the first piece under this number; returns the next number.
pub(super) fn write(to: &mut impl Write, payload: &[u8], mut number: u8) -> io::Result<u8> {
    let mut rest = payload;
    loop {
        let (piece, tail) = rest.split_at(rest.len().min(PIECE));
        let [a, b, c, _] = u32::try_from(piece.len()).unwrap_or(0).to_le_bytes();
        to.write_all(&[a, b, c, number])?;
        to.write_all(piece)?;
        number = number.wrapping_add(1);
        rest = tail;
        if piece.len() < PIECE {
            return Ok(number);
        }
    }
}

/// The server's error.
pub(super) fn error(code: u16, state: &str, message: &str) -> Vec<u8> {
    let [low, high] = code.to_le_bytes();
    let mut packet = vec![0xff, low, high, b'#'];
    packet.extend_from_slice(state.as_bytes());
    packet.extend_from_slice(message.as_bytes());
    packet
}

/// The server's "done".
pub(super) fn ok() -> Vec<u8> {
    vec![0, 0, 0, 2, 0, 0, 0]
}

/// The end of columns, or of rows.
pub(super) fn end() -> Vec<u8> {
    vec![0xfe, 0, 0, 2, 0]
}

/// Whether a packet ends columns or rows.
pub(super) fn is_end(payload: &[u8]) -> bool {
    payload.first() == Some(&0xfe) && payload.len() < 9
}

/// Whether a packet is an error.
pub(super) fn is_error(payload: &[u8]) -> bool {
    payload.first() == Some(&0xff)
}

/// Returns a server's greeting with another version, and without what this proxy does not speak:
/// TLS, compression, results without an end of their columns.
pub(super) fn greeting(payload: &[u8], version: &str) -> Vec<u8> {
    let end = payload.iter().skip(1).position(|byte| *byte == 0).map_or(payload.len(), |at| at + 1);
    let mut out = vec![payload.first().copied().unwrap_or(10)];
    out.extend_from_slice(version.as_bytes());
    let rest = out.len();
    out.extend_from_slice(payload.get(end..).unwrap_or_default());
    // Zero byte, thread, first half of the salt, zero byte: then the flags.
    let flags = rest + 1 + 4 + 8 + 1;
    // By the bytes of the flags: compression; TLS; no end of columns.
    for (at, bit) in [(0, 0x20), (1, 0x08), (6, 0x01)] {
        if let Some(byte) = out.get_mut(flags + at) {
            *byte &= !bit;
        }
    }
    out
}
