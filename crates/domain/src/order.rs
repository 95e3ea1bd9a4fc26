//! Orders and the one state machine that they all follow.
//!
//! Invariants: a terminal state never reopens; the cumulative filled quantity never falls;
//! [`OrderState::Unknown`] is left only by the venue's evidence, never by a timer.

use crate::{ClientOrderId, InstrumentId, Price, Qty, Scaled, StrategyTag, UnixNanos, VenueOrderId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which way an order trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Buys the base asset.
    Buy,
    /// Sells the base asset.
    Sell,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// `buy` or `sell`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long an order may rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeInForce {
    /// Rests until cancelled.
    Gtc,
    /// Takes what is there at once; the rest is cancelled.
    Ioc,
    /// All at once, or nothing.
    Fok,
    /// Rests as a maker; cancelled by the venue if it would take.
    PostOnly,
}

impl TimeInForce {
    /// The name used in settings, journal and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gtc => "gtc",
            Self::Ioc => "ioc",
            Self::Fok => "fok",
            Self::PostOnly => "post-only",
        }
    }
}

/// Which position an order works on, in a market with positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PositionSide {
    /// The one position of an account in one-way mode; also everything on spot.
    #[default]
    Net,
    /// The long position of an account in hedge mode.
    Long,
    /// The short position of an account in hedge mode.
    Short,
}

impl PositionSide {
    /// The word in settings, journal and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Long => "long",
            Self::Short => "short",
        }
    }
}

/// What an order may do to a position. Spot orders have the default: net, not reduce-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct PositionEffect {
    /// The position it works on.
    pub side: PositionSide,
    /// The venue itself lets it only make the position smaller.
    pub reduce_only: bool,
}

impl PositionEffect {
    /// Every effect; an effect's place here is its code on the wire and on disk.
    pub const ALL: [Self; 6] = [
        Self { side: PositionSide::Net, reduce_only: false },
        Self { side: PositionSide::Net, reduce_only: true },
        Self { side: PositionSide::Long, reduce_only: false },
        Self { side: PositionSide::Long, reduce_only: true },
        Self { side: PositionSide::Short, reduce_only: false },
        Self { side: PositionSide::Short, reduce_only: true },
    ];

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn code(self) -> u8 {
        let side = match self.side {
            PositionSide::Net => 0,
            PositionSide::Long => 2,
            PositionSide::Short => 4,
        };
        if self.reduce_only { side + 1 } else { side }
    }

    /// The effect with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Whether it is what a spot order has.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an order of `side` makes a hedge-mode position larger; `None` for the net position, where it depends.
    #[must_use]
    pub const fn opens(self, side: Side) -> Option<bool> {
        match (self.side, side) {
            (PositionSide::Net, _) => None,
            (PositionSide::Long, Side::Buy) | (PositionSide::Short, Side::Sell) => Some(true),
            (PositionSide::Long, Side::Sell) | (PositionSide::Short, Side::Buy) => Some(false),
        }
    }
}

/// Where an order is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Taken from a strategy, not yet checked.
    New,
    /// Passed the risk guard.
    Checked,
    /// Signed; the bytes exist.
    Signed,
    /// The first byte has gone to the socket, or may have.
    Sent,
    /// The venue has said that it received the order.
    Acked,
    /// Some of it has been filled.
    PartlyFilled,
    /// All of it has been filled. Terminal.
    Filled,
    /// Cancelled at the venue, by whom ever. Terminal.
    Cancelled,
    /// Ended by the venue's clock. Terminal.
    Expired,
    /// Refused by us before signing. Terminal.
    Refused,
    /// Proven never to have reached the venue. Terminal.
    NotSent,
    /// Rejected by the venue. Terminal.
    Rejected,
    /// Sent, and nobody knows what became of it. Not terminal: it counts at its worst.
    Unknown,
}

impl OrderState {
    /// Every state, for tables and tests.
    pub const ALL: [Self; 13] = [
        Self::New,
        Self::Checked,
        Self::Signed,
        Self::Sent,
        Self::Acked,
        Self::PartlyFilled,
        Self::Filled,
        Self::Cancelled,
        Self::Expired,
        Self::Refused,
        Self::NotSent,
        Self::Rejected,
        Self::Unknown,
    ];

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Filled | Self::Cancelled | Self::Expired | Self::Refused | Self::NotSent | Self::Rejected)
    }

    /// Whether the order may exist at the venue and so counts as exposure.
    #[must_use]
    pub const fn may_rest(self) -> bool {
        matches!(self, Self::Signed | Self::Sent | Self::Acked | Self::PartlyFilled | Self::Unknown)
    }

    /// The name used in journal, metrics and API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Checked => "checked",
            Self::Signed => "signed",
            Self::Sent => "sent",
            Self::Acked => "acked",
            Self::PartlyFilled => "partly_filled",
            Self::Filled => "filled",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::NotSent => "not_sent",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
        }
    }
}

/// What a cancel has come to, beside the order's own state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum CancelState {
    /// No cancel is under way.
    #[default]
    None,
    /// A cancel has been signed and handed to the gateway.
    Requested,
    /// The venue answered "received"; the end comes by push or query.
    Accepted,
    /// No answer, or "not found": the venue is being asked what the order is.
    Asking,
}

/// What a venue says an order is; the common form of pushes and query answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VenueOrderStatus {
    /// Resting, nothing filled.
    Live,
    /// Resting, partly filled.
    PartlyFilled,
    /// Completely filled.
    Filled,
    /// Cancelled (with whatever was filled before).
    Cancelled,
    /// Ended by the venue's clock.
    Expired,
    /// Taken back by the venue after it was received.
    Rejected,
}

/// One order as order-path, journal and read models hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Our id.
    pub id: ClientOrderId,
    /// The strategy that wants it.
    pub strategy: StrategyTag,
    /// The strategy's own reference, echoed in every event about the order.
    pub reference: u32,
    /// The instrument.
    pub instrument: InstrumentId,
    /// The instrument version whose decimals `price` and the quantities are in.
    pub version: u32,
    /// Buy or sell.
    pub side: Side,
    /// Limit price.
    pub price: Price,
    /// Quantity ordered, in base.
    pub qty: Qty,
    /// How long it may rest.
    pub time_in_force: TimeInForce,
    /// Which position it works on, and how.
    pub effect: PositionEffect,
    /// Where it is in its life.
    pub state: OrderState,
    /// What a cancel has come to.
    pub cancel: CancelState,
    /// Cumulative filled quantity as far as anything has told us; never falls.
    pub filled: Qty,
    /// Sum of the fills seen one by one, keyed by trade id; what positions count.
    pub filled_by_fills: Qty,
    /// The venue's id, once known.
    pub venue_order_id: Option<VenueOrderId>,
    /// When the strategy's intent was taken.
    pub created: UnixNanos,
}

/// Something that has happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderChange {
    /// The risk guard let it pass.
    Checked,
    /// The signer made its bytes.
    Signed,
    /// Refused by us: guard, signer, or lack of room.
    Refused,
    /// The wire record is written and the first byte has gone, or may have.
    Sent,
    /// Proven not to have reached the venue.
    NotSent,
    /// The venue has answered "received".
    Acked(VenueOrderId),
    /// The venue has rejected the request.
    Rejected,
    /// The answer is missing: nobody knows.
    AnswerMissing,
    /// One fill, first seen now (the caller keys fills by trade id).
    Fill(Qty),
    /// What a push or query says the order is, with its cumulative filled quantity.
    Seen {
        /// The venue's id.
        venue_order_id: VenueOrderId,
        /// The venue's status.
        status: VenueOrderStatus,
        /// Cumulative filled quantity.
        filled: Qty,
    },
    /// All three sources have answered "not found" twice, the index delay apart.
    ProvenAbsent,
    /// A cancel was handed to the gateway.
    CancelRequested,
    /// The venue answered that it received the cancel.
    CancelAccepted,
    /// The cancel never left, or the venue refused it for a reason that leaves the order as it was.
    CancelFailed,
    /// The cancel was answered "not found" or not at all: the venue must be asked.
    CancelUnclear,
}

/// What a change did to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// State, cancel state, id or filled quantity changed.
    Changed,
    /// Already known; nothing changed.
    Nothing,
    /// It contradicts what is known; nothing changed, and it must be counted and looked at.
    Contradiction,
}

impl Order {
    /// What may still be filled, counting an unknown order as if it rested whole.
    #[must_use]
    pub const fn remaining(&self) -> Qty {
        if self.state.is_terminal() { Qty::ZERO } else { self.qty.saturating_minus(self.filled) }
    }

    /// Applies one thing that has happened. Idempotent: the same change again gives [`Applied::Nothing`].
    pub fn apply(&mut self, change: OrderChange) -> Applied {
        let before = *self;
        let verdict = self.transition(change);
        debug_assert!(self.filled >= before.filled, "cumulative quantity never falls");
        debug_assert!(!before.state.is_terminal() || self.state == before.state, "a terminal state never reopens");
        match verdict {
            Applied::Contradiction => Applied::Contradiction,
            _ if *self == before => Applied::Nothing,
            _ => Applied::Changed,
        }
    }

    fn transition(&mut self, change: OrderChange) -> Applied {
        use OrderState as S;
        match change {
            OrderChange::Checked => self.step(&[S::New], S::Checked),
            OrderChange::Signed => self.step(&[S::Checked], S::Signed),
            OrderChange::Refused => self.step(&[S::New, S::Checked, S::Signed], S::Refused),
            OrderChange::Sent => match self.state {
                S::Signed => self.go(S::Sent),
                // A push may overtake our own note that the bytes left.
                _ => Applied::Nothing,
            },
            OrderChange::NotSent => self.step(&[S::Signed, S::Sent], S::NotSent),
            OrderChange::Acked(id) => self.acked(id),
            OrderChange::Rejected => self.rejected(),
            OrderChange::AnswerMissing => match self.state {
                S::Signed | S::Sent => self.go(S::Unknown),
                _ => Applied::Nothing,
            },
            OrderChange::Fill(qty) => self.fill(qty),
            OrderChange::Seen { venue_order_id, status, filled } => self.seen(venue_order_id, status, filled),
            OrderChange::ProvenAbsent => self.step(&[S::Unknown], S::NotSent),
            OrderChange::CancelRequested => self.cancel_step(CancelState::Requested),
            OrderChange::CancelAccepted => self.cancel_step(CancelState::Accepted),
            OrderChange::CancelFailed => self.cancel_step(CancelState::None),
            OrderChange::CancelUnclear => self.cancel_step(CancelState::Asking),
        }
    }

    fn go(&mut self, state: OrderState) -> Applied {
        self.state = state;
        if state.is_terminal() {
            self.cancel = CancelState::None;
        }
        Applied::Changed
    }

    fn step(&mut self, from: &[OrderState], to: OrderState) -> Applied {
        if self.state == to {
            Applied::Nothing
        } else if from.contains(&self.state) {
            self.go(to)
        } else {
            Applied::Contradiction
        }
    }

    fn cancel_step(&mut self, to: CancelState) -> Applied {
        if !self.state.is_terminal() {
            self.cancel = to;
        }
        Applied::Nothing
    }

    fn learn_id(&mut self, id: VenueOrderId) -> bool {
        match self.venue_order_id {
            Some(known) => known == id,
            None => {
                self.venue_order_id = Some(id);
                true
            }
        }
    }

    fn acked(&mut self, id: VenueOrderId) -> Applied {
        use OrderState as S;
        if matches!(self.state, S::New | S::Checked | S::Refused | S::NotSent | S::Rejected) || !self.learn_id(id) {
            return Applied::Contradiction;
        }
        match self.state {
            S::Signed | S::Sent | S::Unknown => {
                self.go(if self.filled > Qty::ZERO { S::PartlyFilled } else { S::Acked })
            }
            _ => Applied::Nothing,
        }
    }

    fn rejected(&mut self) -> Applied {
        use OrderState as S;
        match self.state {
            S::Rejected => Applied::Nothing,
            S::Signed | S::Sent | S::Unknown if self.filled == Qty::ZERO => self.go(S::Rejected),
            _ => Applied::Contradiction,
        }
    }

    fn fill(&mut self, qty: Qty) -> Applied {
        let Some(sum) = self.filled_by_fills.checked_add(qty) else { return Applied::Contradiction };
        if sum > self.qty {
            return Applied::Contradiction;
        }
        self.filled_by_fills = sum;
        self.raise_filled(sum);
        if matches!(self.state, OrderState::Refused | OrderState::NotSent | OrderState::Rejected) {
            return Applied::Contradiction; // the fill counts, the state stays, a person must look
        }
        Applied::Changed
    }

    fn raise_filled(&mut self, cumulative: Qty) {
        self.filled = self.filled.max(cumulative);
        if !self.state.is_terminal() && self.filled > Qty::ZERO {
            self.go(if self.filled >= self.qty { OrderState::Filled } else { OrderState::PartlyFilled });
        }
    }

    fn seen(&mut self, id: VenueOrderId, status: VenueOrderStatus, filled: Qty) -> Applied {
        use OrderState as S;
        if matches!(self.state, S::New | S::Checked) || filled > self.qty || !self.learn_id(id) {
            return Applied::Contradiction;
        }
        if self.state.is_terminal() {
            self.filled = self.filled.max(filled);
            let agrees = match status {
                VenueOrderStatus::Live | VenueOrderStatus::PartlyFilled => {
                    // An old push may arrive after the end; it says nothing new.
                    matches!(self.state, S::Filled | S::Cancelled | S::Expired)
                }
                VenueOrderStatus::Filled => self.state == S::Filled,
                VenueOrderStatus::Cancelled => self.state == S::Cancelled,
                VenueOrderStatus::Expired => self.state == S::Expired,
                VenueOrderStatus::Rejected => self.state == S::Rejected,
            };
            return if agrees { Applied::Nothing } else { Applied::Contradiction };
        }
        self.filled = self.filled.max(filled);
        match status {
            VenueOrderStatus::Live | VenueOrderStatus::PartlyFilled => {
                let resting = if self.filled > Qty::ZERO { S::PartlyFilled } else { S::Acked };
                if self.cancel == CancelState::Asking {
                    self.cancel = CancelState::None;
                }
                self.go(if self.filled >= self.qty { S::Filled } else { resting })
            }
            VenueOrderStatus::Filled => {
                // A venue makes an order that only reduces as small as the position: then less is all.
                if !self.effect.reduce_only {
                    self.filled = self.qty;
                }
                self.go(S::Filled)
            }
            VenueOrderStatus::Cancelled => self.go(S::Cancelled),
            VenueOrderStatus::Expired => self.go(S::Expired),
            VenueOrderStatus::Rejected => self.go(S::Rejected),
        }
    }
}

/// A number in a venue's own decimals, as reports carry it.
pub type VenueNumber = Scaled;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, InstanceTag, Sequence};
    use proptest::prelude::*;

    fn order(state: OrderState) -> Order {
        Order {
            id: ClientOrderId::new(InstanceTag::from_number(1), Epoch::new(1).unwrap(), Sequence::new(1).unwrap()),
            strategy: StrategyTag(1),
            reference: 0,
            instrument: InstrumentId(0),
            version: 1,
            side: Side::Buy,
            price: Price(100),
            qty: Qty(10),
            time_in_force: TimeInForce::Gtc,
            effect: PositionEffect::default(),
            state,
            cancel: CancelState::None,
            filled: Qty::ZERO,
            filled_by_fills: Qty::ZERO,
            venue_order_id: None,
            created: UnixNanos(0),
        }
    }

    fn venue_id(text: &str) -> VenueOrderId {
        VenueOrderId::from(text).unwrap()
    }

    fn any_change() -> impl Strategy<Value = OrderChange> {
        let status = prop_oneof![
            Just(VenueOrderStatus::Live),
            Just(VenueOrderStatus::PartlyFilled),
            Just(VenueOrderStatus::Filled),
            Just(VenueOrderStatus::Cancelled),
            Just(VenueOrderStatus::Expired),
            Just(VenueOrderStatus::Rejected),
        ];
        prop_oneof![
            Just(OrderChange::Checked),
            Just(OrderChange::Signed),
            Just(OrderChange::Refused),
            Just(OrderChange::Sent),
            Just(OrderChange::NotSent),
            Just(OrderChange::Acked(venue_id("77"))),
            Just(OrderChange::Rejected),
            Just(OrderChange::AnswerMissing),
            (1_i64..6).prop_map(|qty| OrderChange::Fill(Qty(qty))),
            (status, 0_i64..12).prop_map(|(status, filled)| OrderChange::Seen {
                venue_order_id: venue_id("77"),
                status,
                filled: Qty(filled)
            }),
            Just(OrderChange::ProvenAbsent),
            Just(OrderChange::CancelRequested),
            Just(OrderChange::CancelAccepted),
            Just(OrderChange::CancelFailed),
            Just(OrderChange::CancelUnclear),
        ]
    }

    proptest! {
        #[test]
        fn no_sequence_of_changes_reopens_a_terminal_state_or_loses_a_fill(changes in proptest::collection::vec(any_change(), 0..40)) {
            let mut order = order(OrderState::New);
            for change in changes {
                let before = order;
                order.apply(change);
                prop_assert!(order.filled >= before.filled && order.filled <= order.qty);
                prop_assert!(order.filled_by_fills >= before.filled_by_fills && order.filled_by_fills <= order.filled);
                prop_assert!(!before.state.is_terminal() || order.state == before.state);
                let knows_nothing = matches!(change, OrderChange::AnswerMissing | OrderChange::Sent | OrderChange::CancelFailed
                    | OrderChange::CancelUnclear | OrderChange::CancelRequested | OrderChange::CancelAccepted);
                if before.state == OrderState::Unknown && knows_nothing {
                    prop_assert_eq!(order.state, OrderState::Unknown);
                }
            }
        }
    }

    #[test]
    fn reject_after_a_fill_changes_nothing_but_is_a_contradiction() {
        let mut order = order(OrderState::Sent);
        assert_eq!(order.apply(OrderChange::Fill(Qty(4))), Applied::Changed);
        assert_eq!(order.apply(OrderChange::Rejected), Applied::Contradiction);
        assert_eq!(order.state, OrderState::PartlyFilled);
    }

    #[test]
    fn a_missing_answer_is_unknown_until_the_venue_says_otherwise() {
        let mut order = order(OrderState::Sent);
        order.apply(OrderChange::AnswerMissing);
        assert_eq!(order.state, OrderState::Unknown);
        assert_eq!(order.remaining(), Qty(10));
        order.apply(OrderChange::Seen {
            venue_order_id: venue_id("9"),
            status: VenueOrderStatus::Live,
            filled: Qty(0),
        });
        assert_eq!(order.state, OrderState::Acked);
    }

    #[test]
    fn an_answer_that_comes_after_the_push_is_no_news() {
        let mut order = order(OrderState::Sent);
        order.apply(OrderChange::Seen {
            venue_order_id: venue_id("9"),
            status: VenueOrderStatus::Filled,
            filled: Qty(10),
        });
        assert_eq!(order.apply(OrderChange::Acked(venue_id("9"))), Applied::Nothing);
        assert_eq!(order.apply(OrderChange::AnswerMissing), Applied::Nothing);
        assert_eq!(order.state, OrderState::Filled);
    }

    #[test]
    fn an_order_that_only_reduces_is_filled_with_less_where_the_venue_made_it_smaller() {
        let filled = |reduce_only| {
            let mut order = order(OrderState::Acked);
            order.effect.reduce_only = reduce_only;
            order.venue_order_id = Some(venue_id("9"));
            let seen =
                OrderChange::Seen { venue_order_id: venue_id("9"), status: VenueOrderStatus::Filled, filled: Qty(8) };
            assert_eq!(order.apply(seen), Applied::Changed);
            assert_eq!(order.state, OrderState::Filled);
            order.filled
        };
        assert_eq!((filled(true), filled(false)), (Qty(8), Qty(10)));
    }

    #[test]
    fn a_fill_after_the_end_counts_and_the_state_stays() {
        let mut order = order(OrderState::Acked);
        order.apply(OrderChange::Seen {
            venue_order_id: venue_id("9"),
            status: VenueOrderStatus::Cancelled,
            filled: Qty(4),
        });
        order.apply(OrderChange::Fill(Qty(4)));
        assert_eq!((order.state, order.filled, order.filled_by_fills), (OrderState::Cancelled, Qty(4), Qty(4)));
    }

    #[test]
    fn not_found_on_cancel_asks_and_does_not_cancel() {
        let mut order = order(OrderState::Acked);
        order.apply(OrderChange::CancelRequested);
        order.apply(OrderChange::CancelUnclear);
        assert_eq!((order.state, order.cancel), (OrderState::Acked, CancelState::Asking));
    }

    #[test]
    fn another_venue_id_for_the_same_order_is_a_contradiction() {
        let mut order = order(OrderState::Sent);
        order.apply(OrderChange::Acked(venue_id("1")));
        assert_eq!(order.apply(OrderChange::Acked(venue_id("2"))), Applied::Contradiction);
    }
}
