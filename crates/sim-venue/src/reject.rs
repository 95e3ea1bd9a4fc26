//! The venue's error codes and the shape of its answers.

use crate::Permission;
use serde_json::Value;

/// A request the venue rejects: its code, its words and the HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) status: u16,
}

impl Reject {
    /// A failure as seen live: HTTP 400.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: 400 }
    }

    pub(crate) fn too_many() -> Self {
        Self { code: "429", message: "Too Many Requests".into(), status: 429 }
    }

    pub(crate) fn not_found() -> Self {
        Self { code: "40404", message: "Request URL NOT FOUND".into(), status: 404 }
    }

    pub(crate) fn empty(field: &str) -> Self {
        Self::new("40019", format!("Parameter {field} cannot be empty"))
    }

    pub(crate) fn invalid(field: &str) -> Self {
        Self::new("40017", format!("Parameter verification failed {field}"))
    }

    pub(crate) fn missing_query(field: &str) -> Self {
        Self::new("400172", format!("Parameter verification failed {field}"))
    }

    pub(crate) fn unknown_symbol(symbol: &str) -> Self {
        Self::new("40034", format!("Parameter {symbol} does not exist"))
    }

    pub(crate) fn too_precise(field: &str, text: &str, decimals: u8) -> Self {
        let what =
            format!("Parameter verification exception {field} checkBDScale error value={text} checkScale={decimals}");
        Self::new("40808", what)
    }

    pub(crate) fn no_such_order() -> Self {
        Self::new("43001", "The order does not exist")
    }

    /// The key or its account is frozen; the venue documents one code for both.
    pub(crate) fn frozen() -> Self {
        Self::new("40024", "Account has been frozen")
    }

    /// What is asked for needs a key, or will need one, that is bound to addresses.
    pub(crate) fn bind_an_address() -> Self {
        Self::new("22010", "Please bind ip whitelist address")
    }

    pub(crate) fn no_such_key() -> Self {
        Self::new("40037", "Apikey does not exist")
    }

    /// The key lacks a right.
    pub(crate) fn lacks(permission: Permission) -> Self {
        let what = match permission {
            Permission::Read => "spot order read",
            Permission::Trade => "spot order write",
            Permission::FuturesRead => "contract order read",
            Permission::FuturesTrade => "contract order write",
            Permission::Margin => "margin trade write",
            Permission::Transfer => "wallet transfer",
            Permission::Withdraw => "wallet withdraw",
            Permission::SubAccounts => "sub-account write",
        };
        Self::new("40014", format!("Incorrect permissions, need {what} permissions"))
    }

    /// What a gateway says in front of a venue that is down.
    pub(crate) fn no_json() -> Self {
        Self { code: "503", message: String::new(), status: 503 }
    }

    pub(crate) fn body(&self, request_time_ms: u64) -> String {
        if self.status == 503 {
            return UNAVAILABLE.to_owned();
        }
        serde_json::json!({"code": self.code, "msg": self.message, "requestTime": request_time_ms, "data": null})
            .to_string()
    }
}

/// The page of a gateway in front of a venue that is down.
pub(crate) const UNAVAILABLE: &str = "<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>";

/// The envelope of a success.
pub(crate) fn success(data: &Value, request_time_ms: u64) -> String {
    serde_json::json!({"code": "00000", "msg": "success", "requestTime": request_time_ms, "data": data}).to_string()
}
