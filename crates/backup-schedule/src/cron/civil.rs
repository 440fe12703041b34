//! The next match on a calendar without zones.

use jiff::civil::{Date, DateTime};

use super::Cron;

/// Every date of the calendar comes back within so many days: 29 February once skips eight years.
const MOST_DAYS: usize = 8 * 366 + 1;

impl Cron {
    /// Returns the first matching minute at or after `from`, which is a whole minute; `None` at
    /// the end of time.
    pub(super) fn at_or_after(&self, from: DateTime) -> Option<DateTime> {
        let mut date = from.date();
        let mut earliest = (from.hour(), from.minute());
        for _ in 0..MOST_DAYS {
            if self.matches(date)
                && let Some((hour, minute)) = self.first_time(earliest)
            {
                return Some(date.at(hour, minute, 0, 0));
            }
            date = self.next_date(date)?;
            earliest = (0, 0);
        }
        None
    }

    /// Whether no date ever matches.
    pub(super) fn never(&self) -> bool {
        // From a year on that is followed by every kind of year.
        self.at_or_after(Date::constant(2001, 1, 1).at(0, 0, 0, 0)).is_none()
    }

    fn matches(&self, date: Date) -> bool {
        let has = |mask: u64, value: i8| mask >> value & 1 == 1;
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        let days = if self.either_day { day || weekday } else { day && weekday };
        days && has(self.months, date.month())
    }

    fn next_date(&self, date: Date) -> Option<Date> {
        if self.months >> date.month() & 1 == 1 {
            return date.tomorrow().ok();
        }
        date.last_of_month().tomorrow().ok()
    }

    fn first_time(&self, (hour, minute): (i8, i8)) -> Option<(i8, i8)> {
        (hour..24).filter(|h| self.hours >> h & 1 == 1).find_map(|h| {
            let from = if h == hour { minute } else { 0 };
            let rest = self.minutes >> from;
            let next = from + i8::try_from(rest.trailing_zeros()).ok()?;
            (rest != 0).then_some((h, next))
        })
    }
}
