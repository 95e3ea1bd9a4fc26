//! Which paths are never signed, whatever a codec builds.
//!
//! Invariant: every path is looked through whole, or is byte for byte one that was.

use arrayvec::ArrayVec;
use messages::Verb;

/// Parts of a path that move money or manage keys. No codec builds them; this is the second look.
const DENIED_PATH_PARTS: [&[u8]; 14] = [
    b"withdraw",
    b"transfer",
    b"sub-",
    b"subaccount",
    b"apikey",
    b"api-key",
    b"/user/",
    b"/switch",
    b"/adjust-account-mode",
    b"/repay",
    b"/convert",
    b"/deposit",
    b"/loan",
    b"/earn",
];

/// The latest path of each verb that was looked through and has no denied part.
#[derive(Default)]
pub(crate) struct ClearedPaths([ArrayVec<u8, { ClearedPaths::LEN_MAX }>; Verb::ALL.len()]);

impl ClearedPaths {
    /// Longer paths are looked through every time.
    const LEN_MAX: usize = 96;

    /// Whether the path of `target` has no denied part.
    pub(crate) fn allows(&mut self, verb: Verb, target: &[u8]) -> bool {
        let Some(known) = self.0.get_mut(verb as usize) else { return !is_denied(path_of(target)) };
        // The path that was cleared, whole: nothing, or a query, follows it.
        let repeats = !known.is_empty()
            && target.strip_prefix(known.as_slice()).is_some_and(|rest| matches!(rest.first(), None | Some(b'?')));
        if repeats {
            return true;
        }
        let path = path_of(target);
        if is_denied(path) {
            return false;
        }
        known.clear();
        // A path without room is not remembered, and looked through again the next time.
        let _ = known.try_extend_from_slice(path);
        true
    }
}

fn path_of(target: &[u8]) -> &[u8] {
    target.split(|byte| *byte == b'?').next().unwrap_or(target)
}

fn is_denied(path: &[u8]) -> bool {
    (0..path.len()).any(|at| {
        let rest = path.get(at..).unwrap_or(&[]);
        // Most bytes begin no denied part; only those that do are compared.
        matches!(rest.first(), Some(b'w' | b't' | b's' | b'a' | b'/'))
            && DENIED_PATH_PARTS.iter().any(|part| rest.starts_with(part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleared_path_opens_no_other_one() {
        let mut paths = ClearedPaths::default();
        for _ in 0..2 {
            assert!(paths.allows(Verb::Place, b"/api/v2/spot/trade/place-order"));
            assert!(paths.allows(Verb::Place, b"/api/v2/spot/trade/place-order?a=withdraw"));
            for denied in [
                &b"/api/v2/spot/trade/place-order/withdraw"[..],
                b"/api/v2/spot/trade/place-orderwithdraw?a=1",
                b"/api/v2/spot/wallet/transfer",
                b"/api/v3/account/transfer",
                b"/api/v3/account/withdrawal",
                b"/api/v3/account/switch",
                b"/api/v3/account/repay",
                b"/api/v3/account/adjust-account-mode",
                b"/api/v3/user/create-sub-api",
                b"/api/v2/convert/trade",
                b"/api/v2/earn/savings/redeem",
                b"withdraw",
            ] {
                assert!(!paths.allows(Verb::Place, denied), "{}", String::from_utf8_lossy(denied));
            }
        }
    }

    #[test]
    fn a_path_too_long_to_be_remembered_is_looked_through_every_time() {
        let mut paths = ClearedPaths::default();
        let long = [b"/api/".as_slice(), &[b'x'; 2 * ClearedPaths::LEN_MAX]].concat();
        let denied = [long.as_slice(), b"/withdraw"].concat();
        for _ in 0..2 {
            assert!(paths.allows(Verb::KeyInfo, &long));
            assert!(!paths.allows(Verb::KeyInfo, &denied));
        }
        assert!(paths.allows(Verb::KeyInfo, b""));
        assert!(!paths.allows(Verb::KeyInfo, &denied));
    }
}
