//! The plain types of settings, each read strictly: nothing is rounded, converted or guessed.

use std::collections::BTreeMap;
use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use crate::check::is_name;
use crate::path::KeyPath;
use crate::problem::{Problem, shown};
use crate::schema::{Setting, Shape};

/// The problem of a value that is not of its type.
pub(crate) fn wrong(place: &KeyPath, value: &Value, shape: &Shape, help: &str) -> Problem {
    Problem::at(place, format!("must be {}, not {}", shape.words(), shown(value)), help)
}

impl Setting for bool {
    fn shape() -> Shape {
        Shape::Bool
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let read = value.as_bool();
        if read.is_none() {
            problems.push(wrong(place, value, &Self::shape(), "write true or false, without quotes"));
        }
        read
    }

    fn write(&self) -> Value {
        Value::from(*self)
    }
}

macro_rules! integers {
    ($($type:ty),+) => {$(
        impl Setting for $type {
            fn shape() -> Shape {
                Shape::Integer
            }

            fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
                let Some(number) = value.as_i64() else {
                    let help = if value.is_string() { "write the number without quotes" } else { "" };
                    problems.push(wrong(place, value, &Self::shape(), help));
                    return None;
                };
                let read = Self::try_from(number).ok();
                if read.is_none() {
                    let (low, high) = (Self::MIN, Self::MAX);
                    let message = format!("{number} is out of range: must be from {low} to {high}");
                    problems.push(Problem::at(place, message, ""));
                }
                read
            }

            fn write(&self) -> Value {
                Value::from(*self)
            }
        }
    )+};
}

integers!(u16, u32, u64, i64);

impl Setting for f64 {
    fn shape() -> Shape {
        Shape::Number
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let read = value.as_f64();
        if read.is_none() {
            let help = if value.is_string() { "write the number without quotes" } else { "" };
            problems.push(wrong(place, value, &Self::shape(), help));
        }
        read
    }

    fn write(&self) -> Value {
        Value::from(*self)
    }
}

impl Setting for String {
    fn shape() -> Shape {
        Shape::Text("text")
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let read = value.as_str().map(str::to_owned);
        if read.is_none() {
            problems.push(wrong(place, value, &Self::shape(), "write it in quotes"));
        }
        read
    }

    fn write(&self) -> Value {
        Value::from(self.as_str())
    }
}

/// Decimal text without sign but a leading minus, without exponent and separators.
pub(crate) fn parse_decimal(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(whole) && is_number(fraction) { Decimal::from_str_exact(text).ok() } else { None }
}

impl Setting for Decimal {
    fn shape() -> Shape {
        Shape::Text("a decimal number in quotes, such as \"0.1\"")
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let read = match value {
            Value::String(text) => parse_decimal(text),
            Value::Number(number) => number.as_i64().map(Self::from),
            _ => None,
        };
        if read.is_none() {
            let help = match value {
                Value::Number(number) => format!("write it in quotes, so that it stays exact: \"{number}\""),
                _ => String::new(),
            };
            problems.push(wrong(place, value, &Self::shape(), &help));
        }
        read
    }

    fn write(&self) -> Value {
        Value::from(self.to_string())
    }
}

impl Setting for Duration {
    fn shape() -> Shape {
        Shape::Text("a time with its unit in quotes, such as \"500ms\", \"20s\" or \"90d\"")
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let read = value.as_str().and_then(parse_duration);
        if read.is_none() {
            let help = match value {
                Value::Number(number) => format!("seconds? write \"{number}s\""),
                _ => String::new(),
            };
            problems.push(wrong(place, value, &Self::shape(), &help));
        }
        read
    }

    fn write(&self) -> Value {
        Value::from(duration_text(*self))
    }
}

/// Text such as `500ms`, `20s`, `1h 30m` or `90d`, a day being 24 hours. Months and years have no fixed length and are
/// refused, as is anything negative.
fn parse_duration(text: &str) -> Option<Duration> {
    // jiff also reads ISO 8601 ("PT20S"), which nobody means here.
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let span: jiff::Span = text.parse().ok()?;
    let signed = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(signed).ok()
}

/// The duration in its largest whole unit.
fn duration_text(duration: Duration) -> String {
    const UNITS: [(u128, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    UNITS
        .iter()
        .find(|(size, _)| nanos.is_multiple_of(*size))
        .map_or_else(|| format!("{nanos}ns"), |(size, unit)| format!("{}{unit}", nanos / size))
}

impl<T: Setting> Setting for Option<T> {
    fn shape() -> Shape {
        T::shape()
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::read(value, place, problems).map(Some) }
    }

    fn write(&self) -> Value {
        self.as_ref().map_or(Value::Null, Setting::write)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let Value::Array(elements) = value else {
            problems.push(wrong(place, value, &Self::shape(), "write it in square brackets"));
            return None;
        };
        let read: Vec<Option<T>> = elements
            .iter()
            .enumerate()
            .map(|(index, element)| T::read(element, &place.child(index.to_string()), problems))
            .collect();
        read.into_iter().collect()
    }

    fn write(&self) -> Value {
        Value::Array(self.iter().map(Setting::write).collect())
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn shape() -> Shape {
        Shape::Map(Box::new(T::shape()))
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let Value::Object(entries) = value else {
            problems.push(wrong(place, value, &Self::shape(), ""));
            return None;
        };
        let mut complete = true;
        let mut read = Self::new();
        for (key, value) in entries {
            let place = place.child(key.as_str());
            if !is_name(key) {
                let message = "is not a name of 1 to 32 characters a-z, 0-9 and `-`";
                problems.push(Problem::at(&place, message, "rename it"));
                complete = false;
            }
            match T::read(value, &place, problems) {
                Some(value) => {
                    read.insert(key.clone(), value);
                }
                None => complete = false,
            }
        }
        complete.then_some(read)
    }

    fn write(&self) -> Value {
        Value::Object(self.iter().map(|(key, value)| (key.clone(), value.write())).collect())
    }
}

/// A table that is read later, by the crate that declares it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Raw(pub Map<String, Value>);

impl Raw {
    /// The table as a value, for [`read`](crate::read).
    #[must_use]
    pub fn value(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

impl Setting for Raw {
    fn shape() -> Shape {
        Shape::Raw
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let read = value.as_object().cloned().map(Self);
        if read.is_none() {
            problems.push(wrong(place, value, &Self::shape(), ""));
        }
        read
    }

    fn write(&self) -> Value {
        self.value()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T: Setting>(value: Value) -> Result<T, String> {
        crate::schema::read(&value, &KeyPath::dotted("x")).map_err(|problems| problems.to_string())
    }

    #[test]
    fn numbers_are_exact_or_refused() {
        assert_eq!(read::<u32>(json!(5)), Ok(5));
        assert!(read::<u32>(json!(3.9)).is_err());
        assert!(read::<u32>(json!("5")).is_err());
        assert!(read::<u32>(json!(-1)).is_err());
        assert!(read::<u16>(json!(70_000)).is_err());
        assert_eq!(read::<f64>(json!(0.2)), Ok(0.2));
    }

    #[test]
    fn decimals_are_text_or_whole_numbers_and_never_floats() {
        assert_eq!(read::<Decimal>(json!("0.0005")), Ok(Decimal::new(5, 4)));
        assert_eq!(read::<Decimal>(json!("-12.50")), Ok(Decimal::new(-1250, 2)));
        assert_eq!(read::<Decimal>(json!(250)), Ok(Decimal::from(250)));
        let problem = read::<Decimal>(json!(0.1)).expect_err("floats are not exact");
        assert!(problem.contains("write it in quotes, so that it stays exact: \"0.1\""), "{problem}");
        for bad in ["", ".", "1.", ".5", "1e5", "1_000", "+1", "1,5", " 1", "0x10", "NaN", &"9".repeat(40)] {
            assert!(read::<Decimal>(json!(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_need_a_unit_of_fixed_length() {
        assert_eq!(read::<Duration>(json!("500ms")), Ok(Duration::from_millis(500)));
        assert_eq!(read::<Duration>(json!("20s")), Ok(Duration::from_secs(20)));
        assert_eq!(read::<Duration>(json!("90d")), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(read::<Duration>(json!("1h 30m")), Ok(Duration::from_secs(5_400)));
        for bad in ["20", "", "-5s", "1 month", "1y", "soon", "PT20S"] {
            assert!(read::<Duration>(json!(bad)).is_err(), "{bad}");
        }
        assert!(read::<Duration>(json!(20)).expect_err("no unit").contains("write \"20s\""));
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["500ms", "20s", "15m", "12h", "90d", "0s", "7us", "3ns"] {
            let duration: Duration = read(json!(text)).expect(text);
            assert_eq!(duration.write(), json!(text));
        }
    }

    #[test]
    fn booleans_are_not_words() {
        assert_eq!(read::<bool>(json!(true)), Ok(true));
        for bad in [json!("yes"), json!("true"), json!(1), json!(0)] {
            assert!(read::<bool>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_bad_element_of_a_list_is_named() {
        let problem = read::<Vec<u32>>(json!([1, "two", 3, "four"])).expect_err("two are no numbers");
        assert!(problem.contains("x[1]") && problem.contains("x[3]"), "{problem}");
    }
}
