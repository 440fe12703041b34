//! Bytes that have arrived and are not yet used.

/// Room for what one read can bring; rows are parsed where they lie.
const ROOM: usize = 256 << 10;
/// Above this, an emptied buffer is given back.
const KEEP: usize = 4 << 20;

/// A buffer that grows only as bytes arrive, never on the strength of an announced length.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; ROOM], start: 0, end: 0 }
    }

    /// Returns what has arrived and is unused.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start.saturating_add(count));
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > KEEP {
                self.bytes = vec![0; ROOM];
            }
        }
    }

    /// Returns free room, making some if there is none.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                self.bytes.resize(self.bytes.len() * 2, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// Takes note of bytes read into [`Inbox::room`].
    pub(crate) fn arrived(&mut self, count: usize) {
        self.end = self.bytes.len().min(self.end + count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_while_compacting_and_growing() {
        let mut inbox = Inbox::new();
        let (mut wrote, mut read) = (0_u64, 0_u64);
        for step in 1..200_usize {
            for _ in 0..step * 3 {
                let room = inbox.room();
                let count = room.len().min(1000 + step);
                for byte in &mut room[..count] {
                    *byte = u8::try_from(wrote % 251).unwrap();
                    wrote += 1;
                }
                inbox.arrived(count);
            }
            let count = inbox.unread().len() * 2 / 3;
            for byte in &inbox.unread()[..count] {
                assert_eq!(u64::from(*byte), read % 251);
                read += 1;
            }
            inbox.consume(count);
        }
        inbox.consume(usize::MAX);
        assert!(inbox.unread().is_empty());
        assert!(inbox.bytes.len() <= KEEP);
    }

    #[test]
    fn gives_back_what_a_huge_message_took() {
        let mut inbox = Inbox::new();
        while inbox.unread().len() <= KEEP {
            let count = inbox.room().len();
            inbox.arrived(count);
        }
        inbox.consume(1);
        assert!(inbox.bytes.len() > KEEP);
        inbox.consume(KEEP * 4);
        assert_eq!(inbox.bytes.len(), ROOM);
    }
}
