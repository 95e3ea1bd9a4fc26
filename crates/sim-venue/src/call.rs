//! One request as its handler sees it, and the answer it gives.

use crate::auth::{Need, percent_decoded};
use crate::fault_desk::OrderFaults;
use crate::reject::Reject;
use crate::venue::Venue;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a handler is told about its request.
pub(crate) struct Call {
    /// Meaningless for public calls.
    pub(crate) account: usize,
    /// Name of the key that called; empty for public calls.
    pub(crate) key: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) body: Value,
}

/// A handler's answer and what is to go wrong with it.
pub(crate) struct Answer {
    pub(crate) data: Value,
    pub(crate) faults: OrderFaults,
}

impl From<Value> for Answer {
    fn from(data: Value) -> Self {
        Self { data, faults: OrderFaults::default() }
    }
}

/// What answers a path.
pub(crate) type Handler = fn(&mut Venue, &Call) -> Result<Answer, Reject>;

/// Who may call a path.
#[derive(Clone, Copy)]
pub(crate) enum Access {
    /// Anybody; its budget is the address's.
    Public,
    /// Keys that fulfil the need; its budget is the account's.
    Private(Need),
}

/// One path of the venue.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// Documented budget of one caller.
    pub(crate) per_second: u32,
    pub(crate) access: Access,
    pub(crate) handler: Handler,
}

pub(crate) const fn get(path: &'static str, per_second: u32, access: Access, handler: Handler) -> Route {
    Route { method: "GET", path, per_second, access, handler }
}

pub(crate) const fn post(path: &'static str, per_second: u32, access: Access, handler: Handler) -> Route {
    Route { method: "POST", path, per_second, access, handler }
}

impl Call {
    /// A parameter of the query; an empty one is an absent one.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A parameter of the query that must be there.
    pub(crate) fn needed(&self, name: &str) -> Result<&str, Reject> {
        self.given(name).ok_or_else(|| Reject::missing_query(name))
    }

    /// A whole number of the query.
    pub(crate) fn whole(&self, name: &str) -> Result<Option<u64>, Reject> {
        self.given(name).map(|text| text.parse().map_err(|_| Reject::invalid(name))).transpose()
    }

    /// How many items are wanted: `default` unless told, and between 1 and `max`.
    pub(crate) fn limit(&self, default: usize, max: usize) -> Result<usize, Reject> {
        let told = self.whole("limit")?;
        Ok(told.map_or(default, |limit| usize::try_from(limit).unwrap_or(max).clamp(1, max)))
    }

    /// The span of time asked for, in milliseconds: from `startTime` to `endTime`.
    pub(crate) fn span_ms(&self) -> Result<(u64, u64), Reject> {
        Ok((self.whole("startTime")?.unwrap_or(0), self.whole("endTime")?.unwrap_or(u64::MAX)))
    }
}

/// The parameters of a query, decoded.
pub(crate) fn parameters(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (percent_decoded(name), percent_decoded(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_one_by_one() {
        let found = parameters("symbol=BTCUSDT&clientOid=a%2Bb%20c%26d&empty=&flag");
        assert_eq!(found["clientOid"], "a+b c&d");
        assert_eq!((found["symbol"].as_str(), found["empty"].as_str(), found["flag"].as_str()), ("BTCUSDT", "", ""));
    }

    #[test]
    fn a_limit_is_the_default_or_within_its_bounds() {
        let limit = |query: &str| {
            let call = Call { account: 0, key: String::new(), query: parameters(query), body: Value::Null };
            call.limit(100, 500).map_err(|reject| reject.code)
        };
        assert_eq!((limit(""), limit("limit="), limit("limit=7")), (Ok(100), Ok(100), Ok(7)));
        assert_eq!((limit("limit=0"), limit("limit=99999999999"), limit("limit=x")), (Ok(1), Ok(500), Err("40017")));
    }
}
