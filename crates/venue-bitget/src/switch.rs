//! The codec of one account: it speaks v2 or v3, as the account's switch stands at each call.

use crate::Environment;
use crate::v2::Classic;
use crate::v3::Unified;
use domain::{Symbol, UnixNanos};
use messages::{AccountMode, QueryAnswer, SignIntent, SignRefusal, VenueError};
use std::time::Duration;
use venue_api::{
    ActAnswer, Credentials, Draft, FrameError, HeaderSink, Method, ModeSwitch, PrivateCodec, PrivateFrame, RestCodec,
    SignatureEncoding, SigningCodec,
};

/// The codec of one account.
#[derive(Debug, Clone)]
pub(crate) struct Bitget {
    /// Where the account lives.
    pub(crate) environment: Environment,
    /// How the venue keeps it.
    pub(crate) mode: ModeSwitch,
}

/// Where private streams of each generation end.
const CLASSIC_STREAM: &str = "/v2/ws/private";
const UNIFIED_STREAM: &str = "/v3/ws/private";

/// The same call on the codec of the generation in force.
macro_rules! spoken {
    ($bitget:expr, $codec:ident => $call:expr) => {
        match $bitget.mode.get() {
            AccountMode::Classic => {
                let $codec = Classic { environment: $bitget.environment };
                $call
            }
            AccountMode::Unified => {
                let $codec = Unified { environment: $bitget.environment };
                $call
            }
        }
    };
}

impl SigningCodec for Bitget {
    fn encoding(&self) -> SignatureEncoding {
        SignatureEncoding::Base64
    }

    fn draft(&self, intent: &SignIntent, at: UnixNanos, draft: &mut Draft) -> Result<(), SignRefusal> {
        spoken!(self, codec => codec.draft(intent, at, draft))
    }

    fn standing_headers(
        &self,
        method: Method,
        credentials: Credentials<'_>,
        headers: &mut dyn HeaderSink,
    ) -> Result<(), SignRefusal> {
        spoken!(self, codec => codec.standing_headers(method, credentials, headers))
    }

    fn set_account_mode(&self, mode: AccountMode) {
        self.mode.set(mode);
    }

    fn finish(
        &self,
        draft: &mut Draft,
        signature: &str,
        credentials: Credentials<'_>,
        headers: &mut dyn HeaderSink,
    ) -> Result<(), SignRefusal> {
        spoken!(self, codec => codec.finish(draft, signature, credentials, headers))
    }
}

impl RestCodec for Bitget {
    fn act_answer(&self, intent: &SignIntent, status: u16, body: &[u8]) -> ActAnswer {
        spoken!(self, codec => codec.act_answer(intent, status, body))
    }

    fn query_answer(&self, intent: &SignIntent, status: u16, body: &[u8]) -> QueryAnswer {
        spoken!(self, codec => codec.query_answer(intent, status, body))
    }

    fn classify(&self, status: u16, code: &str, text: &str) -> VenueError {
        spoken!(self, codec => codec.classify(status, code, text))
    }

    fn explain(&self, code: &str) -> Option<&'static str> {
        spoken!(self, codec => codec.explain(code))
    }
}

impl PrivateCodec for Bitget {
    fn address(&self, base: &str) -> String {
        let (from, to) = match self.mode.get() {
            AccountMode::Classic => (UNIFIED_STREAM, CLASSIC_STREAM),
            AccountMode::Unified => (CLASSIC_STREAM, UNIFIED_STREAM),
        };
        // An address of another form was meant as it stands.
        base.strip_suffix(from).map_or_else(|| base.to_owned(), |host| format!("{host}{to}"))
    }

    fn subscribe(&self, symbols: &[Symbol]) -> Vec<String> {
        spoken!(self, codec => codec.subscribe(symbols))
    }

    fn channels(&self, symbols: &[Symbol]) -> &'static [&'static str] {
        spoken!(self, codec => PrivateCodec::channels(&codec, symbols))
    }

    fn ping(&self) -> (&'static str, Duration) {
        ("ping", crate::PING_EVERY)
    }

    fn decode(&self, frame: &[u8]) -> Result<PrivateFrame, FrameError> {
        spoken!(self, codec => PrivateCodec::decode(&codec, frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_stream_follow_the_switch() {
        let codecs = crate::codecs(Environment::Production);
        let target = || {
            let mut draft = Draft::default();
            codecs.signing.draft(&SignIntent::KeyInfo, UnixNanos(1), &mut draft).unwrap();
            String::from_utf8(draft.target.to_vec()).unwrap()
        };
        let address = || codecs.private.address("wss://ws.bitget.com/v2/ws/private");
        assert_eq!(
            (target().as_str(), address().as_str()),
            ("/api/v2/spot/account/info", "wss://ws.bitget.com/v2/ws/private")
        );
        codecs.signing.set_account_mode(AccountMode::Unified);
        assert_eq!(
            (target().as_str(), address().as_str()),
            ("/api/v3/account/info", "wss://ws.bitget.com/v3/ws/private")
        );
        assert_eq!(codecs.mode.get(), AccountMode::Unified, "one switch for all codecs of an account");
        codecs.mode.set(AccountMode::Classic);
        assert_eq!(codecs.private.address("ws://127.0.0.1:9/v3/ws/private"), "ws://127.0.0.1:9/v2/ws/private");
        assert_eq!(codecs.private.address("ws://127.0.0.1:9/other"), "ws://127.0.0.1:9/other");
    }

    #[test]
    fn budgets_of_the_switching_codec_fit_both_generations() {
        let budgets = crate::codecs(Environment::Production).capabilities.budgets;
        for mode in AccountMode::ALL {
            for (group, rate) in crate::capabilities(mode).budgets {
                let ours = budgets.iter().find(|(known, _)| known == group).unwrap().1;
                assert!(ours <= *rate, "{group:?} {mode:?}");
            }
        }
    }
}
