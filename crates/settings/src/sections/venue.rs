//! `venues/*.toml`: one venue account each.

use std::time::Duration;

use crate::check::{Check, between, name, not_empty, some_of};
use crate::forms::IpBinding;
use crate::{absent, empty};

section! {
    /// A venue account.
    pub Venue, without default {
        /// The venue.
        kind: VenueKind;
        /// Which of the venue's worlds: `sim` is an embedded exchange on this machine and needs the three addresses; `demo` and `production` need `mode = "live"`.
        environment: Environment = "sim";
        /// Address of the REST interface. When absent: the venue's own.
        rest: Option<String> = absent(), check not_empty().if_present();
        /// Address of the public stream. When absent: the venue's own.
        ws_public: Option<String> = absent(), check not_empty().if_present();
        /// Address of the private stream. When absent: the venue's own.
        ws_private: Option<String> = absent(), check not_empty().if_present();
        /// Alias of the key in the vault, never the key itself. Made by `steadfast keys add ALIAS`.
        key: String, check name();
        /// Alias of a key that only reads and logs in to the private stream. A unified account needs one: who is
        /// logged in there with a trading key could place orders without a signature for each.
        stream_key: Option<String> = absent(), check name().if_present();
        /// Whether the venue has granted this account order entry over WebSocket, which it does on request alone:
        /// `none` says that it has not, and only then a trading key of a classic account is logged in to the private
        /// stream. Not asked of an embedded exchange, which has none.
        ws_order_entry: WsOrderEntry = "unknown";
        /// The kinds of instrument.
        products: Vec<Product> = ["spot"], check some_of();
        /// The instruments to follow, as the venue spells them.
        instruments: Vec<String>, check some_of();
        /// How perpetual futures are traded; without `products = ["usdt-futures"]` it has no effect.
        futures: Futures = empty();
        /// How long an answer to a request may take.
        rest_timeout: Duration = "3s", check between(Duration::from_millis(100), Duration::from_secs(60));
        /// What is demanded of the key.
        key_policy: KeyPolicy = empty();
    }
}

words! {
    /// A venue.
    pub VenueKind {
        /// Bitget, classic account.
        Bitget = "bitget",
    }
}

words! {
    /// Whether orders can be entered over WebSocket.
    pub WsOrderEntry {
        /// Nobody has said.
        Unknown = "unknown",
        /// They cannot.
        None = "none",
    }
}

words! {
    /// Which of a venue's worlds.
    pub Environment {
        /// An embedded exchange on this machine.
        Sim = "sim",
        /// The venue's demo trading.
        Demo = "demo",
        /// The venue with real money.
        Production = "production",
    }
}

words! {
    /// A kind of instrument.
    pub Product {
        /// Spot.
        Spot = "spot",
        /// Perpetual futures, margined and settled in USDT; their names end with `-PERP`.
        UsdtFutures = "usdt-futures",
    }
    not yet {
        "margin" => "is not supported yet",
    }
}

section! {
    /// How perpetual futures of an account are traded. Leverage and margin mode are set at the venue before the first
    /// order when they differ; the position mode is never changed.
    pub Futures {
        /// Times the margin; at most `risk.max_leverage`.
        leverage: u32 = 3, unit "times", check between(1, 150);
        /// What margin a position draws on.
        margin_mode: MarginMode = "crossed";
        /// How many positions the account holds on one instrument. Must be what the account has at the venue: with another mode
        /// every order is refused.
        position_mode: PositionMode = "one_way";
    }
}

words! {
    /// What margin a position draws on.
    pub MarginMode {
        /// All of the account's margin.
        Crossed = "crossed",
        /// Its own margin alone.
        Isolated = "isolated",
    }
}

words! {
    /// How many positions an account holds on one instrument.
    pub PositionMode {
        /// One, long or short.
        OneWay = "one_way",
        /// A long one and a short one; each strategy names its `position_side`.
        Hedge = "hedge",
    }
}

section! {
    /// What is demanded of a key.
    pub KeyPolicy {
        /// Rights that the key must not have.
        forbid: Vec<ForbiddenRight> = ["withdraw", "transfer"], check both_rights();
        /// Whether the key must be bound to an address: true, false, or "warn".
        require_ip_binding: IpBinding = "warn";
        /// Age at which a key should be replaced; one that ends at the venue earlier, a week before that. At 180 days,
        /// or at its end at the venue, a key becomes Expired and places no more orders.
        rotate_after: Duration = "90d", check between(Duration::from_secs(86_400), Duration::from_secs(180 * 86_400));
        /// How long before that the first warning is given; the next a week before, at the date, and weekly after it.
        warn_before: Duration = "14d", check between(Duration::from_secs(86_400), Duration::from_secs(179 * 86_400));
        /// Time between two looks at a good key's rights and account.
        reverify_every: Duration = "6h", check between(Duration::from_secs(60), Duration::from_secs(86_400));
    }
}

words! {
    /// A right that no key of this program may have.
    pub ForbiddenRight {
        /// Move money out of the venue.
        Withdraw = "withdraw",
        /// Move money between accounts.
        Transfer = "transfer",
    }
}

fn both_rights() -> Check<Vec<ForbiddenRight>> {
    Check::new(
        "a list with both \"withdraw\" and \"transfer\": keys with these rights are always refused",
        |list: &Vec<ForbiddenRight>| ForbiddenRight::ALL.iter().all(|right| list.contains(right)),
    )
}
