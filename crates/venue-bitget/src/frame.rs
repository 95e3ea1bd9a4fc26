//! Frames of streams, the same in both generations: subscriptions out, the head of private frames in.
//!
//! Facts: sheet section 5.1.

use crate::envelope::{RowError, is_object};
use crate::errors::{self, LOGIN_CODES};
use crate::loose::Loose;
use domain::UnixNanos;
use messages::ReportBody;
use serde::Deserialize;
use serde_json::value::RawValue;
use venue_api::{FrameError, PrivateFrame};

/// Bytes of one frame that we send: the venue takes 4096 (sheet section 4).
const FRAME_BYTES_MAX: usize = 4_000;

/// The text that the venue answers a ping with.
pub(crate) const PONG: &[u8] = b"pong";

/// Frames with as many arguments each as the venue's frame size allows.
pub(crate) fn frames(operation: &str, arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut frames: Vec<String> = Vec::new();
    let mut open = String::new();
    for argument in arguments {
        if !open.is_empty() && open.len() + argument.len() + 3 > FRAME_BYTES_MAX {
            frames.push(format!("{open}]}}"));
            open.clear();
        }
        if open.is_empty() {
            open = format!(r#"{{"op":"{operation}","args":["#);
        } else {
            open.push(',');
        }
        open.push_str(&argument);
    }
    if !open.is_empty() {
        frames.push(format!("{open}]}}"));
    }
    frames
}

/// The members of a private frame around its data.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PrivateHead<'a> {
    #[serde(borrow)]
    event: Loose<'a>,
    #[serde(borrow)]
    code: Loose<'a>,
    #[serde(borrow)]
    msg: Loose<'a>,
    #[serde(borrow)]
    arg: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Loose<'a>,
}

impl<'a> PrivateHead<'a> {
    /// Reads a frame as far as its data.
    pub(crate) fn read(frame: &'a [u8]) -> Result<Self, FrameError> {
        if !is_object(frame) {
            return Err(FrameError("json"));
        }
        serde_json::from_slice(frame).map_err(|_| FrameError("json"))
    }

    /// What the frame is about.
    pub(crate) const fn arg(&self) -> Option<&'a RawValue> {
        self.arg
    }

    /// Its data; `null` counts as absent.
    pub(crate) fn data(&self) -> Option<&'a RawValue> {
        self.data.filter(|data| data.get() != "null")
    }

    /// When the venue sent it.
    pub(crate) fn time(&self) -> Option<UnixNanos> {
        self.ts.millis()
    }

    /// What the frame says. `channel` knows the channels that are followed, `reports` reads their data.
    pub(crate) fn frame(
        &self,
        channel: impl Fn(&Self) -> Option<&'static str>,
        reports: impl Fn(&'static str, &Self) -> Result<Vec<ReportBody>, RowError>,
    ) -> Result<PrivateFrame, FrameError> {
        match self.event.text().as_deref() {
            Some("login") => Ok(self.login()),
            Some("error") => Ok(self.error()),
            Some("subscribe") => Ok(channel(self).map_or(PrivateFrame::Ignored, PrivateFrame::Subscribed)),
            Some(_) => Ok(PrivateFrame::Ignored),
            None => match channel(self) {
                Some(channel) => {
                    reports(channel, self).map(PrivateFrame::Reports).map_err(|RowError(what)| FrameError(what))
                }
                None => Ok(PrivateFrame::Ignored),
            },
        }
    }

    /// The venue sends the number 0, its documents say the text "0" (sheet trap 1).
    fn login(&self) -> PrivateFrame {
        match self.code.text().as_deref() {
            None | Some("0" | "00000") => PrivateFrame::LoggedIn,
            Some(code) => PrivateFrame::LoginFailed(errors::stream(code, &self.msg.text().unwrap_or_default())),
        }
    }

    fn error(&self) -> PrivateFrame {
        let code = self.code.text().unwrap_or_default();
        let error = errors::stream(&code, &self.msg.text().unwrap_or_default());
        if LOGIN_CODES.contains(&code.as_ref()) { PrivateFrame::LoginFailed(error) } else { PrivateFrame::Error(error) }
    }
}
