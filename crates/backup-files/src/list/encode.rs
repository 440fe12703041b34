//! Entries to bytes.

use super::{
    ATTRIBUTES, BLOCK, BUNDLED, CHARACTER, DIRECTORY, FILE, FOLLOWS, HOLES, LIKE_BEFORE, LINK,
    LINKED, ONE_TIME, Order, PIPE, TORN, UNSETTLED,
};
use crate::entry::{Entry, FileData, Kind, Place};

/// Writes one segment of a list.
#[derive(Debug)]
pub struct Encoder {
    order: Order,
    bytes: Vec<u8>,
    before: Before,
    /// Bytes of all paths, as they are once read.
    paths: usize,
}

/// What a row is written in relation to.
#[derive(Debug, Default)]
pub(super) struct Before {
    pub(super) path: Vec<u8>,
    pub(super) mode: u32,
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) seconds: i64,
    pub(super) inode: u64,
    /// Where the bundle of the last file with contents goes on.
    pub(super) next: Option<(u64, u64)>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new(Order::Tree)
    }
}

impl Encoder {
    /// Begins a segment of a list that is ordered so.
    #[must_use]
    pub fn new(order: Order) -> Self {
        Self { order, bytes: vec![order.version()], before: Before::default(), paths: 0 }
    }

    /// Returns the bytes so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes of all paths, as they are once read.
    #[must_use]
    pub fn paths(&self) -> usize {
        self.paths
    }

    /// Returns whether no entry was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == 1
    }

    /// Appends an entry.
    pub fn push(&mut self, entry: &Entry) {
        self.paths += entry.path.len();
        let before = &self.before;
        let like =
            (entry.mode, entry.owner, entry.group) == (before.mode, before.owner, before.group);
        let mut head = match &entry.kind {
            Kind::File(_) => FILE,
            Kind::Directory => DIRECTORY,
            Kind::Link(_) => LINK,
            Kind::Pipe => PIPE,
            Kind::Character(..) => CHARACTER,
            Kind::Block(..) => BLOCK,
        };
        for (flag, is_set) in [
            (ATTRIBUTES, !entry.attributes.is_empty()),
            (ONE_TIME, entry.changed == entry.modified),
            (UNSETTLED, entry.unsettled),
            (LIKE_BEFORE, like),
        ] {
            head |= if is_set { flag } else { 0 };
        }
        let shared = entry.path.iter().zip(&before.path).take_while(|(a, b)| a == b).count();
        let out = &mut self.bytes;
        out.push(head);
        number(out, shared as u64);
        text(out, entry.path.get(shared..).unwrap_or_default());
        if !like {
            for word in [entry.mode, entry.owner, entry.group] {
                number(out, u64::from(word));
            }
        }
        signed(out, entry.modified.seconds.wrapping_sub(before.seconds));
        number(out, u64::from(entry.modified.nanos));
        if head & ONE_TIME == 0 {
            signed(out, entry.changed.seconds.wrapping_sub(entry.modified.seconds));
            number(out, u64::from(entry.changed.nanos));
        }
        signed(out, entry.inode.wrapping_sub(before.inode) as i64);
        match &entry.kind {
            Kind::Directory | Kind::Pipe => {}
            Kind::Link(target) => text(out, target),
            Kind::Character(major, minor) | Kind::Block(major, minor) => {
                number(out, u64::from(*major));
                number(out, u64::from(*minor));
            }
            Kind::File(data) => file(out, data, &mut self.before.next),
        }
        if !entry.attributes.is_empty() {
            number(out, entry.attributes.len() as u64);
            for (name, value) in &entry.attributes {
                text(out, name);
                text(out, value);
            }
        }
        let before = &mut self.before;
        before.path.truncate(shared);
        before.path.extend_from_slice(entry.path.get(shared..).unwrap_or_default());
        (before.mode, before.owner, before.group) = (entry.mode, entry.owner, entry.group);
        (before.seconds, before.inode) = (entry.modified.seconds, entry.inode);
    }

    /// Ends the segment and begins the next; returns its bytes.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::replace(self, Self::new(self.order)).bytes
    }
}

fn file(out: &mut Vec<u8>, data: &FileData, next: &mut Option<(u64, u64)>) {
    let follows = match data.place {
        Place::Bundle { address, offset } => *next == Some((address, offset)),
        _ => false,
    };
    let mut flags = 0;
    for (flag, is_set) in [
        (FOLLOWS, follows),
        (BUNDLED, matches!(data.place, Place::Bundle { .. }) && !follows),
        (HOLES, !data.holes.is_empty()),
        (LINKED, data.linked.is_some()),
        (TORN, data.torn),
    ] {
        flags |= if is_set { flag } else { 0 };
    }
    number(out, data.size);
    out.push(flags);
    if let Some(linked) = data.linked {
        number(out, linked);
    }
    if data.size == 0 {
        return;
    }
    out.extend_from_slice(&data.hash.to_be_bytes());
    match data.place {
        Place::Bundle { address, offset } => {
            if !follows {
                number(out, address);
                number(out, offset);
            }
            *next = Some((address, offset + data.size));
        }
        Place::Pieces { address } => number(out, address),
        // Only what is empty is nowhere; the reader refuses this.
        Place::Nowhere => number(out, 0),
    }
    if !data.holes.is_empty() {
        number(out, data.holes.len() as u64);
        let mut end = 0;
        for (at, length) in &data.holes {
            number(out, at.wrapping_sub(end));
            number(out, *length);
            end = at.wrapping_add(*length);
        }
    }
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Small numbers of either sign are short: 0, -1, 1, -2 … are 0, 1, 2, 3 …
fn signed(out: &mut Vec<u8>, value: i64) {
    number(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
