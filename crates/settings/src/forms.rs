//! Settings that are text of a form of their own: percentages, rates, addresses, and where a passphrase comes from.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::Value;

use crate::path::KeyPath;
use crate::problem::Problem;
use crate::schema::{Setting, Shape};
use crate::values::{parse_decimal, wrong};

/// A share that is written as percent and used as a ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    /// 1 is 100 %.
    pub ratio: Decimal,
}

impl Percent {
    /// A share from hundredths of a percent.
    #[must_use]
    pub fn from_basis_points(points: u32) -> Self {
        Self { ratio: Decimal::new(i64::from(points), 4) }
    }
}

impl Setting for Percent {
    fn shape() -> Shape {
        Shape::Text("a percentage in quotes, such as \"2%\"")
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let ratio = value
            .as_str()
            .and_then(|text| text.strip_suffix('%'))
            .and_then(|number| parse_decimal(number.trim_end()))
            .and_then(|number| number.checked_div(Decimal::ONE_HUNDRED));
        if ratio.is_none() {
            let help = if value.is_number() { "say of what: in quotes, with the sign %" } else { "" };
            problems.push(wrong(place, value, &Self::shape(), help));
        }
        ratio.map(|ratio| Self { ratio })
    }

    fn write(&self) -> Value {
        let percent = self.ratio.checked_mul(Decimal::ONE_HUNDRED).unwrap_or(self.ratio).normalize();
        Value::from(format!("{percent}%"))
    }
}

/// A number of events in a span of time, written as `20/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Events, at least 1.
    pub count: u32,
    /// The span in which they may happen: a second, minute, hour or day.
    pub per: Duration,
}

impl Setting for RateLimit {
    fn shape() -> Shape {
        Shape::Text("a number per s, m, h or d in quotes, such as \"20/h\"")
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let read = value.as_str().and_then(|text| {
            let (count, unit) = text.split_once('/')?;
            let count = count.parse().ok().filter(|count| *count > 0)?;
            let seconds = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                _ => return None,
            };
            Some(Self { count, per: Duration::from_secs(seconds) })
        });
        if read.is_none() {
            problems.push(wrong(place, value, &Self::shape(), ""));
        }
        read
    }

    fn write(&self) -> Value {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            3_600 => "h",
            _ => "d",
        };
        Value::from(format!("{}/{unit}", self.count))
    }
}

/// Where the passphrase of the vault comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlock {
    /// A person is asked for it.
    Prompt,
    /// A credential of the service manager, by name, in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// A file that only its owner can read.
    File(PathBuf),
}

impl Setting for Unlock {
    fn shape() -> Shape {
        Shape::Text("\"prompt\", \"credential:NAME\" or \"file:PATH\"")
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let read = value.as_str().and_then(|text| match text.split_once(':') {
            None if text == "prompt" => Some(Self::Prompt),
            Some(("credential", name)) if !name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.') => {
                Some(Self::Credential(name.to_owned()))
            }
            Some(("file", path)) if !path.is_empty() => Some(Self::File(PathBuf::from(path))),
            _ => None,
        });
        if read.is_none() {
            // The text is not shown: somebody may have written the passphrase itself.
            let message = format!("must be {}", Self::shape().words());
            problems.push(Problem::at(place, message, "the passphrase itself has no place here"));
        }
        read
    }

    fn write(&self) -> Value {
        Value::from(match self {
            Self::Prompt => "prompt".to_owned(),
            Self::Credential(name) => format!("credential:{name}"),
            Self::File(path) => format!("file:{}", path.display()),
        })
    }
}

/// What is done about a key that the venue would accept from any address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpBinding {
    /// The key is refused.
    Required,
    /// The key is used and a warning is shown.
    Warn,
    /// Nothing.
    NotRequired,
}

impl Setting for IpBinding {
    fn shape() -> Shape {
        Shape::Text("true, false or \"warn\"")
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let read = match value {
            Value::Bool(true) => Some(Self::Required),
            Value::Bool(false) => Some(Self::NotRequired),
            Value::String(text) if text == "warn" => Some(Self::Warn),
            // From the environment and the command line, where everything is text.
            Value::String(text) if text == "true" => Some(Self::Required),
            Value::String(text) if text == "false" => Some(Self::NotRequired),
            _ => None,
        };
        if read.is_none() {
            problems.push(wrong(place, value, &Self::shape(), ""));
        }
        read
    }

    fn write(&self) -> Value {
        match self {
            Self::Required => Value::from(true),
            Self::Warn => Value::from("warn"),
            Self::NotRequired => Value::from(false),
        }
    }
}

impl Setting for SocketAddr {
    fn shape() -> Shape {
        Shape::Text("an address with port in quotes, such as \"127.0.0.1:7447\"")
    }

    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self> {
        let read = value.as_str().and_then(|text| text.parse().ok());
        if read.is_none() {
            let is_name = value.as_str().is_some_and(|text| text.starts_with("localhost"));
            let help = if is_name { "write 127.0.0.1 instead of localhost, whose meaning can be changed" } else { "" };
            problems.push(wrong(place, value, &Self::shape(), help));
        }
        read
    }

    fn write(&self) -> Value {
        Value::from(self.to_string())
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
    fn percentages_carry_their_sign() {
        assert_eq!(read::<Percent>(json!("2%")), Ok(Percent::from_basis_points(200)));
        assert_eq!(read::<Percent>(json!("0.005%")).map(|percent| percent.ratio), Ok(Decimal::new(5, 5)));
        for bad in [json!("2"), json!(2), json!("%"), json!("two%"), json!(0.02)] {
            assert!(read::<Percent>(bad.clone()).is_err(), "{bad}");
        }
        assert_eq!(Percent::from_basis_points(250).write(), json!("2.5%"));
    }

    #[test]
    fn unlock_never_shows_what_was_written() {
        assert_eq!(read::<Unlock>(json!("prompt")), Ok(Unlock::Prompt));
        assert_eq!(
            read::<Unlock>(json!("credential:vault-passphrase")),
            Ok(Unlock::Credential("vault-passphrase".into()))
        );
        assert_eq!(read::<Unlock>(json!("file:/run/secrets/x")), Ok(Unlock::File("/run/secrets/x".into())));
        let problem = read::<Unlock>(json!("hunter2")).expect_err("not a source");
        assert!(!problem.contains("hunter2"), "{problem}");
        assert!(read::<Unlock>(json!("credential:../../etc/shadow")).is_err());
    }

    #[test]
    fn rates_have_a_count_and_a_unit() {
        assert_eq!(read::<RateLimit>(json!("20/h")), Ok(RateLimit { count: 20, per: Duration::from_secs(3_600) }));
        for bad in ["20", "0/h", "20/year", "/h", "-1/s"] {
            assert!(read::<RateLimit>(json!(bad)).is_err(), "{bad}");
        }
    }
}
