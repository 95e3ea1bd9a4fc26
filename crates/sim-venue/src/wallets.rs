//! Wallets as their owner sees them: spot and futures, a faucet of test coins, and moving between them.

use crate::futures::{DeskRefusal, Wallet};
use crate::reject::Reject;
use crate::venue::Venue;
use domain::Asset;
use matching::Atoms;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Most that the faucet gives at once, of any coin.
const FAUCET_MAX: i64 = 1_000_000;
/// Most of one coin that an account may have before the faucet gives nothing more.
const RICH: i64 = 100_000_000;

/// The wallet of a name.
pub(crate) fn wallet(name: &str) -> Result<Wallet, Reject> {
    match name {
        "spot" => Ok(Wallet::Spot),
        "futures" => Ok(Wallet::UsdtFutures),
        _ => Err(Reject::new("40017", format!("`{name}` is no wallet; known: spot, futures"))),
    }
}

/// A positive amount that can be kept exactly.
pub(crate) fn amount(text: &str) -> Result<Atoms, Reject> {
    let number: Decimal = text.parse().map_err(|_| Reject::new("40017", format!("`{text}` is no amount")))?;
    let atoms = Atoms::from_decimal(number).ok().filter(|atoms| *atoms > Atoms::ZERO);
    atoms.ok_or_else(|| Reject::new("40017", format!("{text} is not a positive amount of a few decimals")))
}

fn poor() -> Reject {
    Reject::new("43012", "Insufficient balance")
}

impl Venue {
    /// Every coin that something is traded in.
    pub(crate) fn coins(&self) -> Vec<Asset> {
        let mut coins: Vec<Asset> = self.instruments.iter().flat_map(|it| [it.config.base, it.config.quote]).collect();
        coins.sort_unstable();
        coins.dedup();
        coins
    }

    /// A coin that is traded here.
    pub(crate) fn coin(&self, text: &str) -> Result<Asset, Reject> {
        let found = self.coins().into_iter().find(|coin| coin.eq_ignore_ascii_case(text));
        found.ok_or_else(|| Reject::new("40034", format!("Parameter {text} does not exist")))
    }

    /// What an account has.
    pub(crate) fn wallets(&self, account: usize) -> Value {
        let Some(owner) = self.accounts.get(account) else { return Value::Null };
        let balances = self.balances(account).into_iter();
        let spot: Vec<Value> = balances
            .filter(|(_, balance)| balance.total() > Atoms::ZERO)
            .map(|(coin, balance)| {
                json!({"coin": coin, "available": balance.available.to_string(), "frozen": balance.frozen.to_string()})
            })
            .collect();
        let futures = self.engine.margin(owner.engine).map(|margin| {
            json!({"coin": "USDT", "balance": margin.wallet.to_string(), "equity": margin.equity.to_string(),
                   "available": margin.available().to_string(), "movable": margin.transferable().to_string()})
        });
        json!({"uid": owner.user.to_string(), "name": owner.name, "spot": spot, "futures": futures})
    }

    /// Gives test coins out of nothing.
    pub(crate) fn faucet(&mut self, account: usize, coin: Asset, amount: Atoms) -> Result<(), Reject> {
        let owner = self.accounts.get(account).ok_or_else(|| Reject::new("40013", "Account abnormal"))?.engine;
        let most = Atoms::from_decimal(Decimal::from(FAUCET_MAX)).unwrap_or_default();
        let rich = Atoms::from_decimal(Decimal::from(RICH)).unwrap_or_default();
        if amount > most {
            return Err(Reject::new("40017", format!("the faucet gives at most {FAUCET_MAX} at once")));
        }
        if self.engine.balance(owner, coin).total() > rich {
            return Err(Reject::new("40017", format!("you have more than {RICH} {coin} already")));
        }
        self.engine.deposit(owner, coin, amount);
        self.tell_balance(account, coin);
        Ok(())
    }

    /// Moves coins between the wallets of one account, or between the spot wallets of two accounts.
    pub(crate) fn move_coins(
        &mut self,
        from: (usize, Wallet),
        to: (usize, Wallet),
        coin: Asset,
        amount: Atoms,
    ) -> Result<(), Reject> {
        let engine = |account: usize| self.accounts.get(account).map(|account| account.engine);
        let abnormal = || Reject::new("40013", "Account abnormal");
        let (source, target) = (engine(from.0).ok_or_else(abnormal)?, engine(to.0).ok_or_else(abnormal)?);
        if self.frozen(from.0) || self.frozen(to.0) {
            return Err(Reject::frozen());
        }
        if from.0 == to.0 && from.1 != to.1 {
            return self.transfer(from.0, (from.1, to.1), coin, amount).map(|_| ()).map_err(|why| refused(&why));
        }
        if from.0 == to.0 || (from.1, to.1) != (Wallet::Spot, Wallet::Spot) {
            let words = "coins move between the spot wallets of two accounts, and USDT between spot and futures of one";
            return Err(Reject::new("40017", words));
        }
        if !self.engine.withdraw(source, coin, amount) {
            return Err(poor());
        }
        self.engine.deposit(target, coin, amount);
        for account in [from.0, to.0] {
            self.tell_balance(account, coin);
        }
        Ok(())
    }
}

fn refused(why: &DeskRefusal) -> Reject {
    match why {
        DeskRefusal::Margin { .. } => poor(),
        other => Reject::new("40017", format!("Parameter verification failed: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Market;
    use crate::desk::tests::venue;

    #[test]
    fn the_faucet_gives_what_is_asked_and_has_its_bounds() {
        let (_, mut venue) = venue(Market::Quiet);
        let sub = venue.open_sub(0, "eightltr").unwrap();
        let usdt = venue.coin("usdt").unwrap();
        venue.faucet(sub, usdt, amount("1000.5").unwrap()).unwrap();
        assert_eq!(venue.wallets(sub)["spot"][0]["available"], "1000.5");
        assert!(venue.faucet(sub, usdt, amount("1000001").unwrap()).is_err());
        for bad in ["0", "-1", "x", "1e400", ""] {
            assert!(amount(bad).is_err(), "{bad}");
        }
        assert!(venue.coin("DOGE").is_err());
    }

    #[test]
    fn coins_move_between_accounts_and_never_more_than_there_are() {
        let (_, mut venue) = venue(Market::Quiet);
        let sub = venue.open_sub(0, "eightltr").unwrap();
        let usdt = venue.coin("USDT").unwrap();
        let before = venue.engine.total(usdt);
        let ways = ((0, Wallet::Spot), (sub, Wallet::Spot));
        venue.move_coins(ways.0, ways.1, usdt, amount("40000").unwrap()).unwrap();
        assert_eq!(venue.wallets(sub)["spot"][0]["available"], "40000");
        assert_eq!(venue.move_coins(ways.0, ways.1, usdt, amount("60001").unwrap()).unwrap_err().code, "43012");
        assert_eq!(venue.move_coins(ways.0, ways.0, usdt, amount("1").unwrap()).unwrap_err().code, "40017");
        venue.set_frozen(sub, true);
        assert_eq!(venue.move_coins(ways.1, ways.0, usdt, amount("1").unwrap()).unwrap_err().code, "40024");
        assert_eq!(venue.engine.total(usdt), before);
    }

    #[test]
    fn usdt_moves_between_spot_and_futures_of_one_account_and_nothing_else_does() {
        let (_, mut venue) = venue(Market::Quiet);
        let sub = venue.open_sub(0, "eightltr").unwrap();
        let (usdt, btc) = (venue.coin("USDT").unwrap(), venue.coin("BTC").unwrap());
        venue.faucet(sub, usdt, amount("100").unwrap()).unwrap();
        venue.faucet(sub, btc, amount("1").unwrap()).unwrap();
        let (spot, futures) = ((sub, Wallet::Spot), (sub, Wallet::UsdtFutures));
        venue.move_coins(spot, futures, usdt, amount("60").unwrap()).unwrap();
        let shown = venue.wallets(sub);
        assert_eq!((&shown["futures"]["balance"], &shown["spot"][1]["available"]), (&json!("60"), &json!("40")));
        assert_eq!(venue.move_coins(futures, spot, usdt, amount("61").unwrap()).unwrap_err().code, "43012");
        assert_eq!(venue.move_coins(spot, futures, btc, amount("1").unwrap()).unwrap_err().code, "40017");
        assert_eq!(venue.move_coins(futures, (0, Wallet::Spot), usdt, amount("1").unwrap()).unwrap_err().code, "40017");
        venue.move_coins(futures, spot, usdt, amount("60").unwrap()).unwrap();
        assert_eq!(venue.wallets(sub)["spot"][1]["available"], "100");
    }
}
