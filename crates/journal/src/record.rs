//! Events as journal records: plain JSON with decimals, and back.

use crate::JournalError;
use crate::position::PositionRecord;
use arrayvec::ArrayString;
use domain::{
    Amount, Asset, CancelState, ClientOrderId, Epoch, Fee, Fill, InstanceTag, InstrumentId, InstrumentStatus,
    InstrumentVersion, Liquidity, Market, MonoNanos, Notional, Order, OrderState, Pnl, PositionEffect, PositionSide,
    Price, Qty, Scaled, Side, StrategyTag, TimeInForce, UnixNanos, VenueId, VenueOrderId, VenueTradeId,
};
use messages::{
    CouldNotAsk, DifferenceKind, EventBody, FuturesSettings, HaltReason, MarginMode, Note, OrderEvent, PositionAfter,
    PositionMode, RefuseReason, TopUsed, TradingState, VenueError, VenueErrorClass, VenueReason, Verb,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An order as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub struct OrderRecord {
    id: ClientOrderId,
    strategy: StrategyTag,
    reference: u32,
    instrument: InstrumentId,
    version: u32,
    side: Side,
    price: Scaled,
    qty: Scaled,
    time_in_force: TimeInForce,
    #[serde(default, skip_serializing_if = "PositionEffect::is_default")]
    effect: PositionEffect,
    state: OrderState,
    #[serde(default)]
    cancel: CancelState,
    filled: Scaled,
    filled_by_fills: Scaled,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    venue_order_id: Option<VenueOrderId>,
    created: UnixNanos,
}

/// The top of book that a check used.
#[derive(Debug, Serialize, Deserialize)]
pub struct TopRecord {
    bid: Scaled,
    ask: Scaled,
    received: MonoNanos,
}

/// A venue's error as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorRecord {
    code: ArrayString<16>,
    class: VenueErrorClass,
    reason: VenueReason,
    text: ArrayString<96>,
}

/// An event as it is written down; `kind` is its column too.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are those of messages::EventBody, where they are described")]
pub enum Record {
    Started {
        tag: InstanceTag,
        epoch: Epoch,
    },
    Instrument {
        id: InstrumentId,
        version: u32,
        price_decimals: u8,
        qty_decimals: u8,
        tick: Scaled,
        lot: Scaled,
        min_qty: Scaled,
        max_qty: Scaled,
        min_notional: Notional,
        status: StatusRecord,
        valid_from: UnixNanos,
    },
    Placed {
        order: OrderRecord,
        top: Option<TopRecord>,
        caused: MonoNanos,
        decided: MonoNanos,
        checked: MonoNanos,
        signed: MonoNanos,
    },
    Refused {
        id: Option<ClientOrderId>,
        strategy: StrategyTag,
        reference: u32,
        instrument: InstrumentId,
        side: Side,
        price: Scaled,
        qty: Scaled,
        reason: RefuseReason,
        top: Option<TopRecord>,
    },
    Order {
        order: OrderRecord,
        from: OrderState,
        at: MonoNanos,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<ErrorRecord>,
    },
    Filled {
        trade_id: VenueTradeId,
        order: ClientOrderId,
        strategy: StrategyTag,
        instrument: InstrumentId,
        version: u32,
        side: Side,
        #[serde(default, skip_serializing_if = "is_default")]
        position_side: PositionSide,
        price: Scaled,
        qty: Scaled,
        fee: Fee,
        liquidity: Liquidity,
        venue_time: UnixNanos,
        state: OrderState,
        filled: Scaled,
        position: Amount,
        realised: Pnl,
    },
    CancelSent {
        id: ClientOrderId,
        cancel: CancelState,
    },
    CancelRefused {
        id: ClientOrderId,
        reason: RefuseReason,
    },
    Balance {
        venue: VenueId,
        #[serde(default, skip_serializing_if = "is_default")]
        wallet: Market,
        asset: Asset,
        available: Amount,
        held: Amount,
    },
    Position(PositionRecord),
    FuturesSettings {
        venue: VenueId,
        instrument: InstrumentId,
        leverage_long: u16,
        leverage_short: u16,
        margin_mode: MarginMode,
        position_mode: PositionMode,
    },
    Funding {
        venue: VenueId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instrument: Option<InstrumentId>,
        bill: VenueOrderId,
        asset: Asset,
        amount: Amount,
        venue_time: UnixNanos,
    },
    Transfer {
        venue: VenueId,
        #[serde(default, skip_serializing_if = "is_default")]
        wallet: Market,
        bill: VenueOrderId,
        asset: Asset,
        amount: Amount,
        venue_time: UnixNanos,
    },
    ForeignOrder {
        venue: VenueId,
        venue_order_id: VenueOrderId,
        other_instance: bool,
    },
    Trading {
        state: TradingState,
        halt: Option<HaltReason>,
        note: Note,
    },
    Reconciled {
        venue: VenueId,
        open_orders: u32,
        missed_fills: u32,
        differences: u32,
    },
    Difference {
        venue: VenueId,
        order: Option<ClientOrderId>,
        difference: ArrayString<24>,
    },
    AskFailed {
        venue: VenueId,
        verb: ArrayString<24>,
        cause: AskCause,
    },
    Act {
        who: ArrayString<24>,
        what: Note,
    },
    Stopped,
}

/// Why a question was not answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskCause {
    Network,
    Venue(ErrorRecord),
    Unreadable,
    NotSent,
}

/// Whether an instrument takes orders.
#[derive(Debug, Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub enum StatusRecord {
    Online,
    Halted,
    Delisted,
}

impl Record {
    /// The word in the `kind` column.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Instrument { .. } => "instrument",
            Self::Placed { .. } => "placed",
            Self::Refused { .. } => "refused",
            Self::Order { .. } => "order",
            Self::Filled { .. } => "filled",
            Self::CancelSent { .. } => "cancel_sent",
            Self::CancelRefused { .. } => "cancel_refused",
            Self::Balance { .. } => "balance",
            Self::Position(_) => "position",
            Self::FuturesSettings { .. } => "futures_settings",
            Self::Funding { .. } => "funding",
            Self::Transfer { .. } => "transfer",
            Self::ForeignOrder { .. } => "foreign_order",
            Self::Trading { .. } => "trading",
            Self::Reconciled { .. } => "reconciled",
            Self::Difference { .. } => "difference",
            Self::AskFailed { .. } => "ask_failed",
            Self::Act { .. } => "act",
            Self::Stopped => "stopped",
        }
    }

    /// The order that it is about, for the `order_id` column.
    #[must_use]
    pub const fn order(&self) -> Option<ClientOrderId> {
        match self {
            Self::Placed { order, .. } | Self::Order { order, .. } => Some(order.id),
            Self::Filled { order: id, .. } | Self::CancelSent { id, .. } | Self::CancelRefused { id, .. } => Some(*id),
            Self::Refused { id, .. } | Self::Difference { order: id, .. } => *id,
            _ => None,
        }
    }
}

/// Turns events into records; remembers the decimals of every instrument version announced so far.
#[derive(Debug, Default)]
pub struct Encoder {
    decimals: BTreeMap<(InstrumentId, u32), (u8, u8)>,
    newest: BTreeMap<InstrumentId, u32>,
}

impl Encoder {
    /// An encoder that knows no instrument yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of an instrument version that an earlier run announced.
    pub fn learn(&mut self, event: &OrderEvent) {
        if let EventBody::Instrument(version) = &event.body {
            self.instrument(version);
        }
    }

    /// The record of an event.
    ///
    /// # Errors
    /// [`JournalError::UnknownVersion`] for an instrument version that no event has announced.
    pub fn record(&mut self, event: &OrderEvent) -> Result<Record, JournalError> {
        self.try_record(&event.body).ok_or(JournalError::UnknownVersion { seq: event.seq })
    }

    fn try_record(&mut self, body: &EventBody) -> Option<Record> {
        Some(match body {
            EventBody::Started { tag, epoch } => Record::Started { tag: *tag, epoch: *epoch },
            EventBody::Instrument(version) => self.instrument(version),
            EventBody::Placed { order, top, caused, decided, checked, signed } => Record::Placed {
                order: self.order(order)?,
                top: self.top(order.instrument, order.version, *top)?,
                caused: *caused,
                decided: *decided,
                checked: *checked,
                signed: *signed,
            },
            EventBody::Refused { id, strategy, reference, instrument, side, price, qty, reason, top } => {
                let version = self.newest.get(instrument).copied()?;
                Record::Refused {
                    id: *id,
                    strategy: *strategy,
                    reference: *reference,
                    instrument: *instrument,
                    side: *side,
                    price: self.price(*instrument, version, *price)?,
                    qty: self.qty(*instrument, version, *qty)?,
                    reason: *reason,
                    top: self.top(*instrument, version, *top)?,
                }
            }
            EventBody::Order { order, from, at, error } => {
                Record::Order { order: self.order(order)?, from: *from, at: *at, error: error.map(ErrorRecord::from) }
            }
            EventBody::Filled { fill, state, filled, position } => Record::Filled {
                trade_id: fill.trade_id,
                order: fill.order,
                strategy: fill.strategy,
                instrument: fill.instrument,
                version: fill.version,
                side: fill.side,
                position_side: fill.position_side,
                price: self.price(fill.instrument, fill.version, fill.price)?,
                qty: self.qty(fill.instrument, fill.version, fill.qty)?,
                fee: fill.fee,
                liquidity: fill.liquidity,
                venue_time: fill.venue_time,
                state: *state,
                filled: self.qty(fill.instrument, fill.version, *filled)?,
                position: position.qty,
                realised: position.realised,
            },
            EventBody::CancelSent { id, cancel } => Record::CancelSent { id: *id, cancel: *cancel },
            EventBody::CancelRefused { id, reason } => Record::CancelRefused { id: *id, reason: *reason },
            EventBody::Balance { venue, wallet, asset, available, held } => {
                Record::Balance { venue: *venue, wallet: *wallet, asset: *asset, available: *available, held: *held }
            }
            EventBody::Position { venue, instrument, report } => {
                Record::Position(PositionRecord::of(*venue, *instrument, report))
            }
            EventBody::FuturesSettings { venue, instrument, settings } => Record::FuturesSettings {
                venue: *venue,
                instrument: *instrument,
                leverage_long: settings.leverage_long,
                leverage_short: settings.leverage_short,
                margin_mode: settings.margin_mode,
                position_mode: settings.position_mode,
            },
            EventBody::Funding { venue, instrument, bill, asset, amount, venue_time } => Record::Funding {
                venue: *venue,
                instrument: *instrument,
                bill: *bill,
                asset: *asset,
                amount: *amount,
                venue_time: *venue_time,
            },
            EventBody::Transfer { venue, wallet, bill, asset, amount, venue_time } => Record::Transfer {
                venue: *venue,
                wallet: *wallet,
                bill: *bill,
                asset: *asset,
                amount: *amount,
                venue_time: *venue_time,
            },
            EventBody::ForeignOrder { venue, venue_order_id, other_instance } => {
                Record::ForeignOrder { venue: *venue, venue_order_id: *venue_order_id, other_instance: *other_instance }
            }
            EventBody::Trading { state, halt, note } => Record::Trading { state: *state, halt: *halt, note: *note },
            EventBody::Reconciled { venue, open_orders, missed_fills, differences } => Record::Reconciled {
                venue: *venue,
                open_orders: *open_orders,
                missed_fills: *missed_fills,
                differences: *differences,
            },
            EventBody::Difference { venue, order, kind } => {
                Record::Difference { venue: *venue, order: *order, difference: word(kind.as_str()) }
            }
            EventBody::AskFailed { venue, verb, cause } => {
                Record::AskFailed { venue: *venue, verb: word(verb.as_str()), cause: AskCause::from(*cause) }
            }
            EventBody::Act { who, what } => Record::Act { who: *who, what: *what },
            EventBody::Stopped => Record::Stopped,
        })
    }

    fn instrument(&mut self, version: &InstrumentVersion) -> Record {
        self.decimals.insert((version.id, version.version), (version.price_decimals, version.qty_decimals));
        self.newest.insert(version.id, version.version);
        Record::Instrument {
            id: version.id,
            version: version.version,
            price_decimals: version.price_decimals,
            qty_decimals: version.qty_decimals,
            tick: version.price_scaled(Price(version.tick)),
            lot: version.qty_scaled(Qty(version.lot)),
            min_qty: version.qty_scaled(version.min_qty),
            max_qty: version.qty_scaled(version.max_qty),
            min_notional: version.min_notional,
            status: match version.status {
                InstrumentStatus::Online => StatusRecord::Online,
                InstrumentStatus::Halted => StatusRecord::Halted,
                InstrumentStatus::Delisted => StatusRecord::Delisted,
            },
            valid_from: version.valid_from,
        }
    }

    fn price(&self, instrument: InstrumentId, version: u32, price: Price) -> Option<Scaled> {
        self.decimals.get(&(instrument, version)).map(|(decimals, _)| Scaled { mantissa: price.0, decimals: *decimals })
    }

    fn qty(&self, instrument: InstrumentId, version: u32, qty: Qty) -> Option<Scaled> {
        self.decimals.get(&(instrument, version)).map(|(_, decimals)| Scaled { mantissa: qty.0, decimals: *decimals })
    }

    fn top(&self, instrument: InstrumentId, version: u32, top: Option<TopUsed>) -> Option<Option<TopRecord>> {
        let Some(top) = top else { return Some(None) };
        Some(Some(TopRecord {
            bid: self.price(instrument, version, top.bid)?,
            ask: self.price(instrument, version, top.ask)?,
            received: top.received,
        }))
    }

    fn order(&self, order: &Order) -> Option<OrderRecord> {
        let (instrument, version) = (order.instrument, order.version);
        Some(OrderRecord {
            id: order.id,
            strategy: order.strategy,
            reference: order.reference,
            instrument,
            version,
            side: order.side,
            price: self.price(instrument, version, order.price)?,
            qty: self.qty(instrument, version, order.qty)?,
            time_in_force: order.time_in_force,
            effect: order.effect,
            state: order.state,
            cancel: order.cancel,
            filled: self.qty(instrument, version, order.filled)?,
            filled_by_fills: self.qty(instrument, version, order.filled_by_fills)?,
            venue_order_id: order.venue_order_id,
            created: order.created,
        })
    }
}

/// The event of a record.
#[must_use]
pub fn decode(seq: u64, at: UnixNanos, record: &Record) -> OrderEvent {
    let top = |top: &Option<TopRecord>| {
        top.as_ref().map(|top| TopUsed {
            bid: Price(top.bid.mantissa),
            ask: Price(top.ask.mantissa),
            received: top.received,
        })
    };
    let body = match record {
        Record::Started { tag, epoch } => EventBody::Started { tag: *tag, epoch: *epoch },
        Record::Instrument {
            id,
            version,
            price_decimals,
            qty_decimals,
            tick,
            lot,
            min_qty,
            max_qty,
            min_notional,
            status,
            valid_from,
        } => EventBody::Instrument(InstrumentVersion {
            id: *id,
            version: *version,
            price_decimals: *price_decimals,
            qty_decimals: *qty_decimals,
            tick: tick.mantissa,
            lot: lot.mantissa,
            min_qty: Qty(min_qty.mantissa),
            max_qty: Qty(max_qty.mantissa),
            min_notional: *min_notional,
            status: match status {
                StatusRecord::Online => InstrumentStatus::Online,
                StatusRecord::Halted => InstrumentStatus::Halted,
                StatusRecord::Delisted => InstrumentStatus::Delisted,
            },
            valid_from: *valid_from,
        }),
        Record::Placed { order, top: used, caused, decided, checked, signed } => EventBody::Placed {
            order: decode_order(order),
            top: top(used),
            caused: *caused,
            decided: *decided,
            checked: *checked,
            signed: *signed,
        },
        Record::Refused { id, strategy, reference, instrument, side, price, qty, reason, top: used } => {
            EventBody::Refused {
                id: *id,
                strategy: *strategy,
                reference: *reference,
                instrument: *instrument,
                side: *side,
                price: Price(price.mantissa),
                qty: Qty(qty.mantissa),
                reason: *reason,
                top: top(used),
            }
        }
        Record::Order { order, from, at, error } => EventBody::Order {
            order: decode_order(order),
            from: *from,
            at: *at,
            error: error.as_ref().map(VenueError::from),
        },
        Record::Filled {
            trade_id,
            order,
            strategy,
            instrument,
            version,
            side,
            position_side,
            price,
            qty,
            fee,
            liquidity,
            venue_time,
            state,
            filled,
            position,
            realised,
        } => EventBody::Filled {
            fill: Fill {
                trade_id: *trade_id,
                order: *order,
                strategy: *strategy,
                instrument: *instrument,
                version: *version,
                side: *side,
                position_side: *position_side,
                price: Price(price.mantissa),
                qty: Qty(qty.mantissa),
                fee: *fee,
                liquidity: *liquidity,
                venue_time: *venue_time,
            },
            state: *state,
            filled: Qty(filled.mantissa),
            position: PositionAfter { qty: *position, realised: *realised },
        },
        Record::CancelSent { id, cancel } => EventBody::CancelSent { id: *id, cancel: *cancel },
        Record::CancelRefused { id, reason } => EventBody::CancelRefused { id: *id, reason: *reason },
        Record::Balance { venue, wallet, asset, available, held } => {
            EventBody::Balance { venue: *venue, wallet: *wallet, asset: *asset, available: *available, held: *held }
        }
        Record::Position(position) => position.event(),
        Record::FuturesSettings { venue, instrument, leverage_long, leverage_short, margin_mode, position_mode } => {
            EventBody::FuturesSettings {
                venue: *venue,
                instrument: *instrument,
                settings: FuturesSettings {
                    leverage_long: *leverage_long,
                    leverage_short: *leverage_short,
                    margin_mode: *margin_mode,
                    position_mode: *position_mode,
                },
            }
        }
        Record::Funding { venue, instrument, bill, asset, amount, venue_time } => EventBody::Funding {
            venue: *venue,
            instrument: *instrument,
            bill: *bill,
            asset: *asset,
            amount: *amount,
            venue_time: *venue_time,
        },
        Record::Transfer { venue, wallet, bill, asset, amount, venue_time } => EventBody::Transfer {
            venue: *venue,
            wallet: *wallet,
            bill: *bill,
            asset: *asset,
            amount: *amount,
            venue_time: *venue_time,
        },
        Record::ForeignOrder { venue, venue_order_id, other_instance } => {
            EventBody::ForeignOrder { venue: *venue, venue_order_id: *venue_order_id, other_instance: *other_instance }
        }
        Record::Trading { state, halt, note } => EventBody::Trading { state: *state, halt: *halt, note: *note },
        Record::Reconciled { venue, open_orders, missed_fills, differences } => EventBody::Reconciled {
            venue: *venue,
            open_orders: *open_orders,
            missed_fills: *missed_fills,
            differences: *differences,
        },
        Record::Difference { venue, order, difference } => EventBody::Difference {
            venue: *venue,
            order: *order,
            kind: DifferenceKind::ALL
                .into_iter()
                .find(|kind| kind.as_str() == difference.as_str())
                .unwrap_or(DifferenceKind::OrderState),
        },
        Record::AskFailed { venue, verb, cause } => EventBody::AskFailed {
            venue: *venue,
            verb: Verb::ALL.into_iter().find(|known| known.as_str() == verb.as_str()).unwrap_or(Verb::QueryOrder),
            cause: match cause {
                AskCause::Network => CouldNotAsk::Network,
                AskCause::Venue(error) => CouldNotAsk::Venue(VenueError::from(error)),
                AskCause::Unreadable => CouldNotAsk::Unreadable,
                AskCause::NotSent => CouldNotAsk::NotSent,
            },
        },
        Record::Act { who, what } => EventBody::Act { who: *who, what: *what },
        Record::Stopped => EventBody::Stopped,
    };
    OrderEvent { seq, at, body }
}

fn decode_order(order: &OrderRecord) -> Order {
    Order {
        id: order.id,
        strategy: order.strategy,
        reference: order.reference,
        instrument: order.instrument,
        version: order.version,
        side: order.side,
        price: Price(order.price.mantissa),
        qty: Qty(order.qty.mantissa),
        time_in_force: order.time_in_force,
        effect: order.effect,
        state: order.state,
        cancel: order.cancel,
        filled: Qty(order.filled.mantissa),
        filled_by_fills: Qty(order.filled_by_fills.mantissa),
        venue_order_id: order.venue_order_id,
        created: order.created,
    }
}

impl From<VenueError> for ErrorRecord {
    fn from(error: VenueError) -> Self {
        Self { code: error.code, class: error.class, reason: error.reason, text: error.text }
    }
}

impl From<&ErrorRecord> for VenueError {
    fn from(error: &ErrorRecord) -> Self {
        Self { code: error.code, class: error.class, reason: error.reason, text: error.text }
    }
}

impl From<CouldNotAsk> for AskCause {
    fn from(cause: CouldNotAsk) -> Self {
        match cause {
            CouldNotAsk::Network => Self::Network,
            CouldNotAsk::Venue(error) => Self::Venue(error.into()),
            CouldNotAsk::Unreadable => Self::Unreadable,
            CouldNotAsk::NotSent => Self::NotSent,
        }
    }
}

/// Whether a field says what it says when it is left out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn word(text: &str) -> ArrayString<24> {
    ArrayString::from(text).unwrap_or_default()
}
