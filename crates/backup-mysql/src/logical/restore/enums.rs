//! Enumerations that hold no member.
//!
//! Servers that are not strict store the number 0 for a word that is none, and print it as an
//! empty text. A strict server complains when it is given back, and stores the same: that one
//! complaint is no change.

use super::part::TablePart;

/// Counts the empty values of a table's enumerations as its rows pass, cut anywhere.
#[derive(Clone, Debug)]
pub(super) struct Empties {
    enums: Vec<bool>,
    column: usize,
    empty: bool,
    pub(super) count: u64,
}

impl Empties {
    pub(super) fn of(table: &TablePart) -> Self {
        Self { enums: table.enums(), column: 0, empty: true, count: 0 }
    }

    /// Takes the next bytes of rows.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if !self.enums.contains(&true) {
            return;
        }
        for byte in bytes {
            match byte {
                b'\t' | b'\n' => {
                    let is_enum = self.enums.get(self.column).copied().unwrap_or(false);
                    self.count += u64::from(self.empty && is_enum);
                    self.empty = true;
                    self.column = if *byte == b'\n' { 0 } else { self.column + 1 };
                }
                _ => self.empty = false,
            }
        }
    }
}

/// Whether a complaint (its number and text) is about a value of one of the table's
/// enumerations.
pub(super) fn is_about(table: &TablePart, code: &str, message: &str) -> bool {
    code == "1265" && table.enum_names().any(|name| message.contains(&format!("'{name}' at row")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_values_of_enumerations_are_counted_wherever_rows_are_cut() {
        let mut empties = Empties { enums: vec![false, true], column: 0, empty: true, count: 0 };
        for piece in ["1\ta\n\t", "\n2\t", "\\N\n3", "\t\n"] {
            empties.feed(piece.as_bytes());
        }
        assert_eq!(empties.count, 2);
    }
}
