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
        }
    }

    /// The document as an answer.
    pub(crate) fn response(&self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        match self.status {
            401 => response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"steadfast\"")),
            429 => response.insert_header((header::RETRY_AFTER, "1")),
            _ => &mut response,
        };
        // Plain strings and a number; cannot fail.
        response.body(serde_json::to_string(self).unwrap_or_default())
    }
}
