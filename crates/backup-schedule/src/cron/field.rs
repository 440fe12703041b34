//! One field of an expression: which values it matches, as bits.

pub(super) struct Field {
    pub(super) position: usize,
    pub(super) what: &'static str,
    first: u32,
    last: u32,
    /// Names, counted from `first`.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

pub(super) const MINUTE: Field =
    Field { position: 0, what: "minute", first: 0, last: 59, names: &[] };
pub(super) const HOUR: Field = Field { position: 1, what: "hour", first: 0, last: 23, names: &[] };
pub(super) const DAY: Field =
    Field { position: 2, what: "day of month", first: 1, last: 31, names: &[] };
pub(super) const MONTH: Field =
    Field { position: 3, what: "month", first: 1, last: 12, names: &MONTHS };
pub(super) const WEEKDAY: Field =
    Field { position: 4, what: "day of week", first: 0, last: 7, names: &DAYS };

pub(super) const FIELDS: [Field; 5] = [MINUTE, HOUR, DAY, MONTH, WEEKDAY];

impl Field {
    /// Returns the bits of a list of `*`, `5`, `1-5`, `mon-fri`, each with `/step`.
    pub(super) fn mask(&self, word: &str) -> Option<u64> {
        word.split(',').try_fold(0, |mask, item| Some(mask | self.item(item)?))
    }

    /// Returns the bits of `*`.
    pub(super) fn all(&self) -> u64 {
        (self.first..=self.last).fold(0, |mask, value| mask | 1 << value)
    }

    /// Sunday is 0 and 7; only 0 is looked at.
    pub(super) fn fold_sunday(&self, mask: u64) -> u64 {
        (mask | mask >> 7) & 0b111_1111
    }

    fn item(&self, item: &str) -> Option<u64> {
        let (span, step) = match item.split_once('/') {
            Some((span, step)) => (span, Some(number(step)?)),
            None => (item, None),
        };
        if step.is_some_and(|step| step == 0 || step > self.last) {
            return None;
        }
        let (from, to) = match span.split_once('-') {
            Some((from, to)) => (self.value(from)?, self.value(to)?),
            None if span == "*" => (self.first, self.last),
            None => {
                let value = self.value(span)?;
                // `5/10`: from five on.
                (value, if step.is_some() { self.last } else { value })
            }
        };
        // `sat-sun` ends with the week.
        let to = if self.position == WEEKDAY.position && to == 0 && from > 0 { 7 } else { to };
        if from > to {
            return None;
        }
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        Some((from..=to).step_by(step).fold(0, |mask, value| mask | 1 << value))
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        if let Some(position) = named {
            return Some(self.first + u32::try_from(position).ok()?);
        }
        number(text).filter(|value| (self.first..=self.last).contains(value))
    }
}

fn number(text: &str) -> Option<u32> {
    // `parse` alone would take "+5".
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
