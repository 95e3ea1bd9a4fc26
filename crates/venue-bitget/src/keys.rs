//! What the venue says about a key (sheet section 3): `GET /api/v2/spot/account/info` of a classic account, `GET
//! /api/v3/account/info` of a unified one.

use crate::envelope::{RowError, object};
use crate::loose::{Loose, fixed};
use arrayvec::ArrayVec;
use messages::{AccountMode, KeyInfo, KeyRight};
use serde::Deserialize;
use serde_json::value::RawValue;

/// An account with the key that asked, in both generations' words.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AccountInfo<'a> {
    #[serde(borrow)]
    user_id: Loose<'a>,
    /// Classic: always there, and the own id on a main account. Unified: only of a sub-account.
    #[serde(borrow)]
    parent_id: Loose<'a>,
    #[serde(borrow)]
    ips: Loose<'a>,
    /// Classic.
    #[serde(borrow)]
    authorities: Option<Vec<Loose<'a>>>,
    /// Unified: groups of rights.
    #[serde(borrow)]
    permissions: Option<Vec<Loose<'a>>>,
    /// Unified: `read-only` or `read-and-write`, for all groups together.
    #[serde(borrow)]
    perm_type: Loose<'a>,
}

impl AccountInfo<'_> {
    fn info(&self, mode: AccountMode, rights: ArrayVec<KeyRight, 24>) -> Result<KeyInfo, RowError> {
        let ips = self.ips.text().unwrap_or_default();
        // An address of all zeros stands for any address.
        let is_bound = |address: &&str| !matches!(*address, "" | "0.0.0.0" | "::");
        let bound = ips.split(',').map(str::trim).filter(is_bound).count();
        let account = self.user_id.text().and_then(|text| fixed(&text)).ok_or(RowError("user id"))?;
        let parent = self.parent_id.text().filter(|id| id.as_ref() != "0" && *id != account.as_str());
        Ok(KeyInfo {
            account,
            account_mode: Some(mode),
            parent: parent.map(|id| fixed(&id).ok_or(RowError("parent id"))).transpose()?,
            rights,
            bound_addresses: u16::try_from(bound).unwrap_or(u16::MAX),
            expires: None,
        })
    }
}

/// Reads rights, addresses and account of a classic account's key. The venue does not say when a key ends.
pub(crate) fn classic(data: Option<&RawValue>) -> Result<KeyInfo, RowError> {
    let info: AccountInfo<'_> = object(data, "key info")?;
    let mut rights = ArrayVec::new();
    for code in info.authorities.as_deref().ok_or(RowError("authorities"))? {
        add(&mut rights, rights_of(&code.text().ok_or(RowError("authorities"))?))?;
    }
    info.info(AccountMode::Classic, rights)
}

/// Reads rights, addresses and account of a unified account's key. The venue does not say when a key ends.
pub(crate) fn unified(data: Option<&RawValue>) -> Result<KeyInfo, RowError> {
    let info: AccountInfo<'_> = object(data, "key info")?;
    let writes = match info.perm_type.text().as_deref() {
        Some("read-only" | "read_only" | "readonly") => false,
        // Whatever else the venue may say counts as the more dangerous of the two.
        Some(_) => true,
        None => return Err(RowError("permission type")),
    };
    let mut rights = ArrayVec::new();
    for group in info.permissions.as_deref().ok_or(RowError("permissions"))? {
        add(&mut rights, unified_rights(&group.text().ok_or(RowError("permissions"))?, writes))?;
    }
    info.info(AccountMode::Unified, rights)
}

fn add(rights: &mut ArrayVec<KeyRight, 24>, more: &[KeyRight]) -> Result<(), RowError> {
    for right in more {
        if !rights.contains(right) && rights.try_push(*right).is_err() {
            return Err(RowError("rights"));
        }
    }
    Ok(())
}

/// The rights behind one group of a unified account's key.
///
/// Management is needed to read balances, and to set leverage. With the right to write it also moves coins between the
/// owner's own wallets and, on a main account, makes sub-accounts; the answer does not tell a key that may only read
/// from one that may write there. So it is a right of its own, to be shown and not to be forbidden.
fn unified_rights(group: &str, writes: bool) -> &'static [KeyRight] {
    use KeyRight as R;
    match (group.to_ascii_lowercase().as_str(), writes) {
        ("uta_trade", false) => &[R::SpotRead, R::FuturesRead],
        ("uta_trade", true) => &[R::SpotRead, R::SpotTrade, R::FuturesRead, R::FuturesTrade],
        ("uta_mgt", false) => &[R::SpotRead, R::FuturesRead],
        ("uta_mgt", true) => &[R::SpotRead, R::FuturesRead, R::UnifiedManagement],
        ("copy_futures_position" | "copy_futures_order", _) => &[R::CopyTrading],
        // Money that leaves is forbidden whatever the type says.
        ("withdraw", _) => &[R::Withdraw],
        ("transfer", _) => &[R::Transfer],
        _ => &[R::Unknown],
    }
}

/// The rights behind one word of a classic account's key.
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
        classic(Some(raw))
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

    fn read_unified(json: &str) -> Result<KeyInfo, RowError> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        unified(Some(raw))
    }

    #[test]
    fn groups_of_a_unified_key_become_rights_by_its_type() {
        let good = r#"{"userId":"123456789","parentId":"","ips":"192.168.1.1,192.168.1.2","permType":"read-and-write","permissions":["uta_mgt","uta_trade"]}"#;
        let info = read_unified(good).unwrap();
        assert!(info.rights.contains(&KeyRight::SpotTrade) && info.rights.contains(&KeyRight::FuturesTrade));
        assert!(info.rights.contains(&KeyRight::UnifiedManagement));
        assert!(!info.rights.iter().any(|right| right.is_forbidden()));
        assert_eq!((info.account_mode, info.parent, info.bound_addresses), (Some(AccountMode::Unified), None, 2));
        let reads = read_unified(&good.replace("read-and-write", "read-only")).unwrap();
        assert_eq!(reads.rights.as_slice(), [KeyRight::SpotRead, KeyRight::FuturesRead]);
    }

    #[test]
    fn a_unified_key_that_withdraws_is_forbidden_and_new_groups_prove_nothing() {
        for kind in ["read-only", "read-and-write", "novel"] {
            let info = read_unified(&format!(
                r#"{{"userId":1,"permType":"{kind}","permissions":["uta_trade","withdraw","zzzz"]}}"#
            ))
            .unwrap();
            assert!(info.rights.iter().any(|right| right.is_forbidden()), "{kind}");
            assert!(info.rights.contains(&KeyRight::Unknown));
        }
        for json in [r#"{"userId":"1","permissions":["uta_trade"]}"#, r#"{"userId":"1","permType":"read-only"}"#] {
            assert!(read_unified(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_sub_account_names_its_parent_and_a_main_account_none() {
        let classic =
            |parent: &str| read(&format!(r#"{{"userId":"7","parentId":{parent},"authorities":["stow"]}}"#)).unwrap();
        assert_eq!(classic("7").parent, None);
        assert_eq!(classic("\"\"").parent, None);
        assert_eq!(classic("9").parent.unwrap().as_str(), "9");
    }
}
