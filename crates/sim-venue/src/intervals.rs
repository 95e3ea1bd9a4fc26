//! Candle lengths: their names in each dialect, and where a candle of each begins.

/// How long a candle is, and which midnight its days begin at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    length: Length,
    /// Days begin at midnight in Greenwich; otherwise at midnight in UTC+8, as the venue's plain names do.
    utc: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Minutes(u64),
    Week,
    Month,
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// Milliseconds of a day.
pub(crate) const DAY_MS: u64 = 24 * HOUR_MS;
const WEEK_MS: u64 = 7 * DAY_MS;
/// The first Monday after the epoch, which was a Thursday.
const FIRST_MONDAY_MS: u64 = 4 * DAY_MS;
/// How far UTC+8 is ahead.
const EAST_MS: u64 = 8 * HOUR_MS;

const fn minutes(count: u64) -> Interval {
    Interval { length: Length::Minutes(count), utc: false }
}

const fn of(length: Length, utc: bool) -> Interval {
    Interval { length, utc }
}

/// Every candle: its name on spot REST (none: not offered there), its name everywhere else, and what it is.
pub(crate) const INTERVALS: [(Option<&str>, &str, Interval); 20] = [
    (Some("1min"), "1m", minutes(1)),
    (Some("3min"), "3m", minutes(3)),
    (Some("5min"), "5m", minutes(5)),
    (Some("15min"), "15m", minutes(15)),
    (Some("30min"), "30m", minutes(30)),
    (Some("1h"), "1H", minutes(60)),
    (None, "2H", minutes(120)),
    (Some("4h"), "4H", minutes(240)),
    (Some("6h"), "6H", minutes(360)),
    (Some("12h"), "12H", minutes(720)),
    (Some("1day"), "1D", minutes(1_440)),
    (Some("3day"), "3D", minutes(4_320)),
    (Some("1week"), "1W", of(Length::Week, false)),
    (Some("1M"), "1M", of(Length::Month, false)),
    (Some("6Hutc"), "6Hutc", of(Length::Minutes(360), true)),
    (Some("12Hutc"), "12Hutc", of(Length::Minutes(720), true)),
    (Some("1Dutc"), "1Dutc", of(Length::Minutes(1_440), true)),
    (Some("3Dutc"), "3Dutc", of(Length::Minutes(4_320), true)),
    (Some("1Wutc"), "1Wutc", of(Length::Week, true)),
    (Some("1Mutc"), "1Mutc", of(Length::Month, true)),
];

impl Interval {
    /// The interval that spot REST calls `name`; upper and lower case differ.
    pub(crate) fn of_spot(name: &str) -> Option<Self> {
        INTERVALS.iter().find(|(spot, _, _)| *spot == Some(name)).map(|(_, _, interval)| *interval)
    }

    /// The interval that futures, v3 and the streams call `name`; upper and lower case differ.
    pub(crate) fn of_general(name: &str) -> Option<Self> {
        INTERVALS.iter().find(|(_, general, _)| *general == name).map(|(_, _, interval)| *interval)
    }

    /// Whether candles of it are made of minutes; longer ones are made of hours.
    pub(crate) const fn is_short(self) -> bool {
        matches!(self.length, Length::Minutes(minutes) if minutes < 60)
    }

    /// When the candle that holds `at_ms` begins.
    pub(crate) const fn start(self, at_ms: u64) -> u64 {
        let shift = if self.utc { 0 } else { EAST_MS };
        let local = at_ms + shift;
        let start = match self.length {
            Length::Minutes(minutes) => local - local % (minutes * MINUTE_MS),
            Length::Week => local - (local + WEEK_MS - FIRST_MONDAY_MS) % WEEK_MS,
            Length::Month => (local / DAY_MS + 1 - day_of_month(local / DAY_MS)) * DAY_MS,
        };
        start.saturating_sub(shift)
    }
}

/// The day of the month, from 1, of a day counted from the epoch (the civil calendar in eras of 400 years).
const fn day_of_month(days: u64) -> u64 {
    let shifted = days + 719_468;
    let of_era = shifted % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    of_year - (153 * month + 2) / 5 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-02-29 13:45:30 UTC, a Thursday.
    const LEAP_DAY: u64 = 1_709_214_330_000;

    fn start(name: &str) -> u64 {
        Interval::of_general(name).unwrap().start(LEAP_DAY)
    }

    #[test]
    fn candles_begin_where_their_names_say() {
        assert_eq!(start("1m"), 1_709_214_300_000);
        assert_eq!(start("15m"), 1_709_214_300_000);
        assert_eq!(start("1H"), 1_709_211_600_000);
        assert_eq!(start("4H"), 1_709_208_000_000);
        // 10:00 UTC is 18:00 in UTC+8, of which six hours divide the day.
        assert_eq!((start("6H"), start("6Hutc")), (1_709_200_800_000, 1_709_208_000_000));
        // Midnight in UTC+8 was 16:00 UTC of the day before.
        assert_eq!((start("1D"), start("1Dutc")), (1_709_136_000_000, 1_709_164_800_000));
        // Monday the 26th of February.
        assert_eq!(start("1Wutc"), 1_708_905_600_000);
        assert_eq!(start("1W"), 1_708_905_600_000 - EAST_MS);
        // The first of February.
        assert_eq!(start("1Mutc"), 1_706_745_600_000);
        assert_eq!(start("1M"), 1_706_745_600_000 - EAST_MS);
    }

    #[test]
    fn names_are_told_apart_by_their_case() {
        assert_ne!(Interval::of_general("1m"), Interval::of_general("1M"));
        assert_eq!(Interval::of_general("1h"), None);
        assert_eq!(Interval::of_spot("1H"), None);
        assert_eq!(Interval::of_spot("1h"), Interval::of_general("1H"));
        assert_eq!(Interval::of_spot("2H"), None, "spot REST has no two hours");
    }

    #[test]
    fn months_begin_on_their_first_day_for_four_centuries() {
        let mut day = 0;
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for year in 1_970_u64..2_370 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for (month, length) in lengths.into_iter().enumerate() {
                let length = if month == 1 && leap { 29 } else { length };
                assert_eq!(day_of_month(day), 1, "{year} {month}");
                assert_eq!(day_of_month(day + length - 1), length, "{year} {month}");
                day += length;
            }
        }
    }
}
