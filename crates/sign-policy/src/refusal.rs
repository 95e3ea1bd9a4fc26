//! Why the policy lets an intent not be signed, and how often that happened.

/// The rule that an intent broke; one for each rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PolicyRefusal {
    /// The role's verbs do not contain this one.
    #[error("the policy does not allow this verb to this role")]
    Verb,
    /// The instrument is not in the policy.
    #[error("the policy does not list this instrument")]
    Symbol,
    /// Price or quantity is not above zero, or does not fit.
    #[error("price or quantity is not a positive number that fits")]
    Number,
    /// The order's value is above the limit of one order.
    #[error("the order's notional is above the policy's limit")]
    OrderNotional,
    /// The order's quantity is above the limit of one order.
    #[error("the order's quantity is above the policy's limit")]
    OrderQuantity,
    /// A sell below the band.
    #[error("the policy allows no sell at so low a price")]
    SellBelowBand,
    /// A buy above the band.
    #[error("the policy allows no buy at so high a price")]
    BuyAboveBand,
    /// The minute's budget of this side is used up.
    #[error("the budget of this side for a minute is used up")]
    Minute,
    /// The hour's budget of this side is used up.
    #[error("the budget of this side for an hour is used up")]
    Hour,
    /// The day's budget of this side is used up.
    #[error("the budget of this side for a day is used up")]
    Day,
    /// Too many orders are outstanding on the instrument.
    #[error("too many orders are outstanding on this instrument")]
    OpenOrders,
    /// Too many orders in too short a time.
    #[error("orders come faster than the policy allows")]
    OrderRate,
    /// Too many cancels in too short a time.
    #[error("cancels come faster than the policy allows")]
    CancelRate,
    /// The leverage is above the limit, or none may be set.
    #[error("the policy does not allow this leverage")]
    Leverage,
    /// The margin or position mode is not among those that may be set.
    #[error("the policy does not allow this mode")]
    Mode,
    /// Leverage or modes change too often.
    #[error("leverage and modes change faster than the policy allows")]
    SettingRate,
    /// The wall clock moved against the monotonic one.
    #[error("the clock was moved; no orders until it is measured again")]
    Clock,
    /// Nobody knows how much was used before this run.
    #[error("the record of used budgets is damaged; an operator must begin it anew")]
    BudgetLost,
    /// The next slice of the budget could not be written.
    #[error("the use of the budget could not be recorded")]
    BudgetStore,
}

impl PolicyRefusal {
    /// Every rule, in the order of the checks where there is one.
    pub const ALL: [Self; 19] = [
        Self::Verb,
        Self::Symbol,
        Self::Number,
        Self::OrderNotional,
        Self::OrderQuantity,
        Self::SellBelowBand,
        Self::BuyAboveBand,
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::OpenOrders,
        Self::OrderRate,
        Self::CancelRate,
        Self::Leverage,
        Self::Mode,
        Self::SettingRate,
        Self::Clock,
        Self::BudgetLost,
        Self::BudgetStore,
    ];

    /// The code used in metrics and journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verb => "verb",
            Self::Symbol => "symbol",
            Self::Number => "number",
            Self::OrderNotional => "order_notional",
            Self::OrderQuantity => "order_quantity",
            Self::SellBelowBand => "sell_below_band",
            Self::BuyAboveBand => "buy_above_band",
            Self::Minute => "minute_budget",
            Self::Hour => "hour_budget",
            Self::Day => "day_budget",
            Self::OpenOrders => "open_orders",
            Self::OrderRate => "order_rate",
            Self::CancelRate => "cancel_rate",
            Self::Leverage => "leverage",
            Self::Mode => "mode",
            Self::SettingRate => "setting_rate",
            Self::Clock => "clock",
            Self::BudgetLost => "budget_lost",
            Self::BudgetStore => "budget_store",
        }
    }
}

/// How often each rule refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyTally {
    /// Intents let through.
    pub admitted: u64,
    refused: [u64; PolicyRefusal::ALL.len()],
}

impl PolicyTally {
    /// How often `rule` refused.
    #[must_use]
    pub fn of(&self, rule: PolicyRefusal) -> u64 {
        PolicyRefusal::ALL.iter().zip(self.refused).find(|(other, _)| **other == rule).map_or(0, |(_, count)| count)
    }

    /// Each rule and how often it refused.
    pub fn iter(&self) -> impl Iterator<Item = (PolicyRefusal, u64)> + '_ {
        PolicyRefusal::ALL.into_iter().zip(self.refused)
    }

    /// All refusals together.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.iter().sum()
    }

    pub(crate) fn count(&mut self, outcome: Result<(), PolicyRefusal>) {
        match outcome {
            Ok(()) => self.admitted += 1,
            Err(rule) => {
                for (other, count) in PolicyRefusal::ALL.iter().zip(&mut self.refused) {
                    *count += u64::from(*other == rule);
                }
            }
        }
    }
}
