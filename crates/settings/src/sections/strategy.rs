//! `strategies/*.toml`: one strategy each, its file name being its id.

use rust_decimal::Decimal;

use crate::check::{between, name, not_empty, positive};
use crate::values::Raw;
use crate::{absent, empty};

section! {
    /// A strategy.
    pub Strategy, without default {
        /// The kind, such as `grid` or `market-maker`.
        kind: String, check not_empty();
        /// Whether it trades.
        enabled: bool = true;
        /// The venue account, by its name in `venues/*.toml`.
        venue: String, check name();
        /// The instrument, one of the account's `instruments`.
        instrument: String, check not_empty();
        /// Which position of a perpetual future it works on, on an account with `position_mode = "hedge"`; there it is required.
        position_side: Option<PositionSide> = absent();
        /// The parameters of the kind.
        params: Raw = empty();
        /// Limits of this strategy.
        limits: StrategyLimits = empty();
    }
}

words! {
    /// A position of an account that holds two on one instrument.
    pub PositionSide {
        /// Bought first, then sold.
        Long = "long",
        /// Sold first, then bought back.
        Short = "short",
    }
}

section! {
    /// Limits of one strategy: narrower than those of `risk.toml`, never wider. What is absent is limited by those alone.
    pub StrategyLimits {
        /// Largest position, long or short.
        max_position: Option<Decimal> = absent(), unit "base currency", check positive().if_present();
        /// Largest notional of the position.
        max_position_notional: Option<Decimal> = absent(), unit "quote currency", check positive().if_present();
        /// Largest notional of one order.
        max_order_notional: Option<Decimal> = absent(), unit "quote currency", check positive().if_present();
        /// Largest number of orders that rest at once.
        max_open_orders: Option<u32> = absent(), unit "orders", check between(1, 10_000).if_present();
        /// Largest loss since the start of the UTC day; a breach halts.
        max_daily_loss: Option<Decimal> = absent(), unit "quote currency", check positive().if_present();
    }
}
