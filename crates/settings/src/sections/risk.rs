//! `risk.toml`: the limits, checked before anything is signed. The defaults are small on purpose.

use std::time::Duration;

use rust_decimal::Decimal;

use crate::check::{between, positive};
use crate::empty;
use crate::forms::Percent;

section! {
    /// Limits that no order may cross. They are checked before anything is signed; what is absent has the safe default shown.
    pub Risk {
        /// Largest notional of one order.
        max_order_notional: Decimal = "250", unit "quote currency", check positive();
        /// Largest number of orders that rest at once.
        max_open_orders: u32 = 50, unit "orders", check between(1, 10_000);
        /// New orders in one second.
        max_orders_per_second: u32 = 5, unit "orders per second", check between(1, 1_000);
        /// Cancels in one second. Cancels that a halt or a stop makes are not counted.
        max_cancels_per_second: u32 = 10, unit "cancels per second", check between(1, 1_000);
        /// Largest notional of the position in one instrument, resting orders included.
        max_position_notional: Decimal = "1000", unit "quote currency", check positive();
        /// Largest sum of the notionals of all positions, resting orders included.
        max_gross_exposure: Decimal = "2000", unit "quote currency", check positive();
        /// Largest loss since the start of the UTC day, realised and unrealised; a breach halts.
        max_daily_loss: Decimal = "100", unit "quote currency", check positive();
        /// Largest loss from the high-water mark of the equity at risk; a breach halts.
        max_drawdown: Percent = "10%", check between(Percent::from_basis_points(1), Percent::from_basis_points(10_000));
        /// Largest distance of an order's price from the mid.
        price_collar: Percent = "2%", check between(Percent::from_basis_points(1), Percent::from_basis_points(5_000));
        /// Age of market data beyond which no new order is made.
        max_feed_age: Duration = "2s", check between(Duration::from_millis(10), Duration::from_secs(60));
        /// Share of rejected orders among the last 50 beyond which the program pauses.
        max_reject_ratio: f64 = 0.2, unit "ratio 0 to 1", check between(0.01, 1.0);
        /// Largest leverage at the venue with which perpetual futures are opened.
        max_leverage: u32 = 3, unit "times", check between(1, 150);
        /// Distance of a liquidation price from the mid below which nothing is added to the position.
        min_liquidation_distance: Percent = "10%", check between(Percent::from_basis_points(0), Percent::from_basis_points(9_900));
        /// What is done about an order that would trade with one of ours.
        self_trade: SelfTrade = "reject";
        /// The kill switch.
        kill_switch: KillSwitch = empty();
    }
}

words! {
    /// What is done about an order that would trade with one of ours.
    pub SelfTrade {
        /// The new order is refused.
        Reject = "reject",
    }
}

section! {
    /// The kill switch.
    pub KillSwitch {
        /// Resting orders are cancelled when the venue's stream is lost for this long.
        cancel_on_disconnect_after: Duration = "10s", check between(Duration::from_secs(1), Duration::from_secs(600));
        /// Whether a halt survives a restart.
        persist: bool = true;
    }
}
