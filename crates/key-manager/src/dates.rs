//! The dates of a key: when it should be replaced, when it ends, and when a person is told. Pure.

use domain::UnixNanos;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// What the dates of a key follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDates {
    /// When it was linked.
    pub created: UnixNanos,
    /// When it ends at the venue, where the venue says so.
    pub expires: Option<UnixNanos>,
    /// Age at which it should be replaced.
    pub rotate_after: Duration,
    /// How long before that a person is told first.
    pub warn_before: Duration,
}

impl KeyDates {
    /// No key is used longer than this after linking, whatever the settings and the venue say.
    pub const AGE_MAX: Duration = DAY.saturating_mul(180);
    /// A key is due for rotation so long before its end at the venue.
    pub const BEFORE_EXPIRY: Duration = DAY.saturating_mul(7);
    /// The last warning before the rotation date.
    const SOON: Duration = DAY.saturating_mul(7);
    /// Days before its end at which a person is told.
    const END_DAYS: [u32; 4] = [14, 7, 3, 1];

    /// When it should be replaced.
    #[must_use]
    pub fn rotation_due(&self) -> UnixNanos {
        let by_age = later(self.created, self.rotate_after);
        let by_venue = self.expires.map_or(UnixNanos(u64::MAX), |end| earlier(end, Self::BEFORE_EXPIRY));
        by_age.min(by_venue)
    }

    /// When it may be used no longer.
    #[must_use]
    pub fn end(&self) -> UnixNanos {
        let by_age = later(self.created, Self::AGE_MAX);
        self.expires.map_or(by_age, |end| end.min(by_age))
    }

    /// Why it may be used no longer; `None`: it may.
    #[must_use]
    pub fn ended(&self, now: UnixNanos) -> Option<&'static str> {
        if self.expires.is_some_and(|end| end <= now) {
            Some("the exchange has ended it")
        } else if self.end() <= now {
            Some("it is older than 180 days")
        } else {
            None
        }
    }
}

/// A word to a person about a key's dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateWarning {
    /// What is to come, in one sentence without the key's name.
    pub text: String,
    /// Whether the rotation date has passed.
    pub overdue: bool,
}

/// Remembers what a person has been told about a key's dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DateWatch {
    rotation: u64,
    end: u64,
}

impl DateWatch {
    /// What is to be told now: once for each step towards the dates, and once at the start when one has been passed.
    pub(crate) fn look(&mut self, dates: &KeyDates, now: UnixNanos) -> Option<DateWarning> {
        let (rotation, end) = (rotation_step(dates, now), end_step(dates, now));
        let news = (rotation > self.rotation, end > self.end);
        // A date that the venue moved away is told again when it comes near again.
        (self.rotation, self.end) = (rotation, end);
        let overdue = dates.rotation_due() <= now;
        let mut words = Vec::new();
        if news.0 {
            words.push(match (days(now, dates.rotation_due()), days(dates.rotation_due(), now)) {
                (0, 0) if overdue => "should be replaced now".to_owned(),
                (0, past) if overdue => format!("should have been replaced {} ago", count(past)),
                (left, _) => format!("should be replaced within {}", count(left)),
            });
        }
        if news.1 && dates.ended(now).is_none() {
            words.push(format!("ends in {} or less and places no orders then", count(days(now, dates.end()))));
        }
        (!words.is_empty()).then(|| DateWarning { text: words.join("; it "), overdue: overdue && news.0 })
    }
}

/// Grows with each time at which a person is told of the rotation; weekly once it is overdue.
fn rotation_step(dates: &KeyDates, now: UnixNanos) -> u64 {
    let due = dates.rotation_due();
    if now >= due {
        let week = KeyDates::SOON.as_secs();
        return 3 + now.0.saturating_sub(due.0) / 1_000_000_000 / week;
    }
    let near = |before: Duration| u64::from(now >= earlier(due, before));
    near(dates.warn_before) + near(KeyDates::SOON.min(dates.warn_before))
}

fn end_step(dates: &KeyDates, now: UnixNanos) -> u64 {
    let near = |days: &&u32| now >= earlier(dates.end(), DAY.saturating_mul(**days));
    KeyDates::END_DAYS.iter().filter(near).count() as u64
}

/// Whole days from one time to a later one, a begun day counted; 0: it is not later.
fn days(from: UnixNanos, to: UnixNanos) -> u64 {
    (to.0.saturating_sub(from.0) / 1_000_000_000).div_ceil(DAY.as_secs())
}

fn count(days: u64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn later(at: UnixNanos, by: Duration) -> UnixNanos {
    UnixNanos(at.0.saturating_add(nanos(by)))
}

fn earlier(at: UnixNanos, by: Duration) -> UnixNanos {
    UnixNanos(at.0.saturating_sub(nanos(by)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn day(number: u32) -> UnixNanos {
        later(crate::core::tests::UNIX, DAY.saturating_mul(number))
    }

    pub(crate) fn dates(expires: Option<u32>) -> KeyDates {
        KeyDates {
            created: day(0),
            expires: expires.map(day),
            rotate_after: DAY.saturating_mul(90),
            warn_before: DAY.saturating_mul(14),
        }
    }

    /// The days of a key's life on which a person is told something, with the words.
    fn told(dates: &KeyDates, last: u32) -> Vec<(u32, String, bool)> {
        let mut watch = DateWatch::default();
        let told = (0..=last)
            .filter_map(|number| watch.look(dates, day(number)).map(|warning| (number, warning.text, warning.overdue)));
        told.collect()
    }

    #[test]
    fn rotation_is_told_before_at_and_after_its_date() {
        let told = told(&dates(None), 105);
        let when: Vec<_> = told.iter().map(|(day, _, overdue)| (*day, *overdue)).collect();
        assert_eq!(when, [(76, false), (83, false), (90, true), (97, true), (104, true)]);
        assert_eq!(told[1].1, "should be replaced within 7 days");
        assert_eq!(told[2].1, "should be replaced now");
        assert_eq!(told[3].1, "should have been replaced 7 days ago");
    }

    #[test]
    fn first_warning_comes_when_the_settings_say() {
        let short = KeyDates { warn_before: DAY.saturating_mul(3), ..dates(None) };
        let when: Vec<_> = told(&short, 91).iter().map(|(day, ..)| *day).collect();
        assert_eq!(when, [87, 90]);
    }

    #[test]
    fn end_at_the_venue_is_told_fourteen_seven_three_and_one_day_before() {
        let told = told(&dates(Some(40)), 45);
        let ends: Vec<_> = told.iter().filter(|(_, text, _)| text.contains("ends in")).map(|(day, ..)| *day).collect();
        assert_eq!(ends, [26, 33, 37, 39]);
        assert_eq!(told.last().unwrap().0, 40, "and a week after the rotation date, which was day 33");
        assert!(
            told.iter().any(|(day, text, _)| *day == 39 && text == "ends in 1 day or less and places no orders then")
        );
        assert_eq!(dates(Some(40)).rotation_due(), day(33));
    }

    #[test]
    fn start_after_a_date_tells_the_present_once() {
        let mut watch = DateWatch::default();
        let first = watch.look(&dates(None), day(85)).unwrap();
        assert_eq!(first, DateWarning { text: "should be replaced within 5 days".to_owned(), overdue: false });
        assert_eq!(watch.look(&dates(None), day(85)), None);
    }

    #[test]
    fn key_ends_when_the_venue_says_or_after_180_days() {
        assert_eq!(dates(Some(40)).ended(day(39)), None);
        assert_eq!(dates(Some(40)).ended(day(40)), Some("the exchange has ended it"));
        assert_eq!(dates(Some(400)).ended(day(179)), None);
        assert_eq!(dates(Some(400)).ended(day(180)), Some("it is older than 180 days"));
        assert_eq!(dates(None).end(), day(180));
    }

    #[test]
    fn prolonged_date_is_told_again_when_it_comes_near_again() {
        let mut watch = DateWatch::default();
        assert!(watch.look(&dates(Some(40)), day(33)).unwrap().text.contains("ends in 7 days"));
        assert_eq!(watch.look(&dates(Some(60)), day(34)), None);
        assert!(watch.look(&dates(Some(60)), day(46)).unwrap().text.contains("ends in 14 days"));
    }
}
