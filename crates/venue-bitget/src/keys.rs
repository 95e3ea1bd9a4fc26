//! What the venue says about a key: `GET /api/v2/spot/account/info` (sheet section 3).

use crate::loose::{Loose, fixed};
use crate::rows::RowError;
use arrayvec::ArrayVec;
use messages::{KeyInfo, KeyRight};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AccountInfo<'a> {
    #[serde(borrow)]
    user_id: Loose<'a>,
    #[serde(borrow)]
    ips: Loose<'a>,
    #[serde(borrow)]
    authorities: Option<Vec<Loose<'a>>>,
}

/// Reads rights, addresses and account of a key. The venue does not say when a key ends.
pub(crate) fn info(data: Option<&RawValue>) -> Result<KeyInfo, RowError> {
    let data = data.ok_or(RowError("key info"))?;
    let info: AccountInfo<'_> = serde_json::from_str(data.get()).map_err(|_| RowError("key info"))?;
    let mut rights = ArrayVec::new();
    for code in info.authorities.ok_or(RowError("authorities"))? {
        let word = code.text().ok_or(RowError("authorities"))?;
        for right in rights_of(&word) {
            if !rights.contains(right) && rights.try_push(*right).is_err() {
                return Err(RowError("authorities"));
            }
        }
    }
    let ips = info.ips.text().unwrap_or_default();
    // An address of all zeros stands for any address.
    let bound = ips.split(',').map(str::trim).filter(|address| !matches!(*address, "" | "0.0.0.0" | "::")).count();
    Ok(KeyInfo {
        account_mode: Some(messages::AccountMode::Classic),
        account: info.user_id.text().and_then(|text| fixed(&text)).ok_or(RowError("user id"))?,
        rights,
        bound_addresses: u16::try_from(bound).unwrap_or(u16::MAX),
        expires: None,
    })
}

/// The rights behind one word.
///
/// Four-letter codes are those of the account endpoint; longer words belong to the vocabulary of
/// sub-account keys. `trade` and `readonly` stand in a printed example without saying for which
/// product, so they prove nothing. Whatever can move value away counts as a forbidden right: selling
/// coins to another person (P2P) as a withdrawal, pledging them as a transfer.
fn rights_of(word: &str) -> &'static [KeyRight] {
    use KeyRight as R;
    match word.to_ascii_lowercase().as_str() {
        "stor" | "read" => &[R::SpotRead],
        "stow" | "spot_trade" => &[R::SpotRead, R::SpotTrade],
        "coor" | "cpor" => &[R::FuturesRead],
        "coow" | "cpow" | "contract_trade" | "contract_order" | "contract_position" => {
            &[R::FuturesRead, R::FuturesTrade]
        }
        "smor" | "smow" | "margin_trade" => &[R::Margin],
        "ttor" | "ttow" | "copytrading_trade" => &[R::CopyTrading],
        "wtow" | "transfer" | "wallet_transfer" | "pllw" => &[R::Transfer],
        "wwow" | "withdraw" | "wallet_withdraw" | "p2p" | "p2pw" => &[R::Withdraw],
        "chow" => &[R::ManageAccounts],
        _ => &[R::Unknown],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<KeyInfo, RowError> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        info(Some(raw))
    }

    #[test]
    fn codes_become_rights_and_addresses_are_counted() {
        let info =
            read(r#"{"userId":"7264631750","ips":"127.0.0.1, 10.0.0.1","authorities":["stow","coor"],"parentId":1}"#);
        let info = info.unwrap();
        assert_eq!(info.rights.as_slice(), [KeyRight::SpotRead, KeyRight::SpotTrade, KeyRight::FuturesRead]);
        assert_eq!((info.account.as_str(), info.bound_addresses), ("7264631750", 2));
    }

    #[test]
    fn rights_that_move_value_away_are_forbidden_ones() {
        for word in ["wwow", "WWOW", "wtow", "chow", "p2p", "p2pw", "pllw", "transfer", "withdraw", "wallet_withdraw"] {
            let info = read(&format!(r#"{{"userId":1,"ips":"","authorities":["stow","{word}"]}}"#)).unwrap();
            assert!(info.rights.iter().any(|right| right.is_forbidden()), "{word}");
        }
    }

    #[test]
    fn words_without_a_product_prove_nothing() {
        let info = read(r#"{"userId":"1","ips":null,"authorities":["trade","readonly","zzzz"]}"#).unwrap();
        assert_eq!(info.rights.as_slice(), [KeyRight::Unknown]);
        assert_eq!(info.bound_addresses, 0);
    }

    #[test]
    fn a_key_without_a_list_of_rights_is_unreadable_and_not_harmless() {
        for json in [r#"{"userId":"1"}"#, r#"{"userId":"1","authorities":null}"#, r#"{"authorities":[]}"#, "[]", "{}"] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_address_of_zeros_binds_nothing() {
        let info = read(r#"{"userId":"1","ips":"0.0.0.0","authorities":["stor"]}"#).unwrap();
        assert_eq!(info.bound_addresses, 0);
    }
}
