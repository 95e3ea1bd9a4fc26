//! Errors as RFC 9457 problem documents with a stable code.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde::{Deserialize, Serialize};

/// One problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:steadfast:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Why and what to do, for people; never what the client sent.
    pub detail: String,
    /// A word for programs that never changes its meaning.
    pub code: String,
    /// After how many seconds it is worth trying again; none: that does not depend on time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem of these words.
    pub(crate) fn new(status: u16, code: &str, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:steadfast:problem:{code}"),
            title: title.into(),
            status,
            detail: detail.into(),
            code: code.to_owned(),
            retry_after: None,
        }
    }

    /// A problem that ends by itself.
    pub(crate) fn wait(seconds: u64, code: &str, detail: impl Into<String>) -> Self {
        let seconds = seconds.max(1);
        Self { retry_after: Some(seconds), ..Self::new(429, code, "too many requests", detail) }
    }

    /// The document as an answer.
    pub(crate) fn response(&self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        if self.status == 401 {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"steadfast\""));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        // Plain strings and a number; cannot fail.
        response.body(serde_json::to_string(self).unwrap_or_default())
    }
}
