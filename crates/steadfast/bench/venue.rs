//! The venue's part: every order is received and cancelled at once, every question is answered.

use super::BenchError;
use super::frames::MID;
use super::rig::{INSTRUMENT, STRATEGY, VENUE, version};
use arrayvec::ArrayVec;
use crossbeam_channel::Receiver;
use domain::{
    Amount, ClientOrderId, MonoNanos, Order, OrderState, Price, Qty, Rounding, Scaled, Side, TimeInForce, UnixNanos,
    VenueOrderId, VenueOrderStatus,
};
use hot_actor::OutboxReceiver;
use messages::{
    BalanceReport, ClientIdText, EventBody, OrderEvent, OrderIntent, OrderUpdate, PlaceOrder, QueryAnswer,
    RefuseReason, ReportBody, SignIntent, VenueReport, Verb,
};
use rust_decimal::Decimal;
use signing::{Outbound, Route};
use std::fmt::Write as _;

/// When an order passed each hop, by the order path's own `Placed` event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hops {
    /// Its frame was there.
    pub(super) caused: MonoNanos,
    /// The strategy had decided.
    pub(super) decided: MonoNanos,
    /// Every check was passed.
    pub(super) checked: MonoNanos,
    /// The signed bytes were there.
    pub(super) signed: MonoNanos,
}

/// What an event of the order path means to the bench.
#[derive(Debug, Clone, Copy)]
pub(super) enum News {
    /// An order was signed and handed over.
    Placed(Hops),
    /// An order has ended.
    Ended,
    /// An order was refused since the feed's thread lost its core while it wrote the top of book.
    Busy,
    /// Nothing that matters.
    Other,
}

/// Reports that answer one request.
pub(super) type Answers = ArrayVec<VenueReport, 2>;

/// The venue, and whoever reads events.
pub(super) struct Venue {
    outbox: OutboxReceiver<Outbound>,
    events: Receiver<OrderEvent>,
    resting: Vec<OrderUpdate>,
    /// Orders to come that stay open.
    to_rest: usize,
    orders: u64,
}

impl Venue {
    /// Orders that rest all the time, as a grid's do.
    pub(super) const RESTING: usize = 20;

    pub(super) fn new(outbox: OutboxReceiver<Outbound>, events: Receiver<OrderEvent>) -> Self {
        Self { outbox, events, resting: Vec::with_capacity(Self::RESTING), to_rest: Self::RESTING, orders: 0 }
    }

    /// An order far below the market that will rest.
    pub(super) fn resting_order(number: usize, now: MonoNanos) -> Result<OrderIntent, BenchError> {
        let off_grid = |_| BenchError::Setup("an order of the bench is off the grid");
        let steps = i64::try_from(number).unwrap_or(0);
        Ok(OrderIntent {
            strategy: STRATEGY,
            reference: 0,
            instrument: INSTRUMENT,
            side: Side::Buy,
            price: version().order_price(Price(MID - 40_000 - steps * 1_000), Rounding::Exact).map_err(off_grid)?,
            qty: version().order_qty(Qty(100), Rounding::Exact).map_err(off_grid)?,
            time_in_force: TimeInForce::Gtc,
            effect: domain::PositionEffect::default(),
            caused: now,
            decided: now,
        })
    }

    /// The next event's meaning; `None`: none is waiting.
    ///
    /// # Errors
    /// [`BenchError::Refused`]: the order path did not take an order, so nothing can be measured.
    pub(super) fn news(&mut self) -> Result<Option<News>, BenchError> {
        let Ok(event) = self.events.try_recv() else { return Ok(None) };
        let news = match event.body {
            EventBody::Placed { caused, decided, checked, signed, .. } => {
                News::Placed(Hops { caused, decided, checked, signed })
            }
            EventBody::Order { order: Order { state: OrderState::Cancelled, .. }, .. } => News::Ended,
            EventBody::Refused { reason: RefuseReason::BookBusy, .. } => News::Busy,
            EventBody::Refused { reason, .. } => return Err(BenchError::Refused(reason)),
            EventBody::Trading { halt: Some(reason), .. } => return Err(BenchError::Halted(reason)),
            _ => News::Other,
        };
        Ok(Some(news))
    }

    /// The answers to the next request of the outbox; `None`: it is empty.
    pub(super) fn answer(&mut self, now: UnixNanos, mono: MonoNanos) -> Option<Answers> {
        let outbound = self.outbox.pop()?;
        let report = |body| VenueReport { venue: VENUE, received: now, body };
        let mut answers = Answers::new();
        match (outbound.route, &outbound.intent) {
            (Route::Order(id), SignIntent::Place(place)) => {
                answers.push(report(ReportBody::Sent { id, verb: Verb::Place, at: mono }));
                answers.push(report(self.place(id, place, now, mono)));
            }
            (Route::Query(query, _), intent) => {
                let answer = self.query(intent, now);
                answers.push(report(ReportBody::Answer { query, answer }));
            }
            _ => {}
        }
        Some(answers)
    }

    fn place(&mut self, id: ClientOrderId, place: &PlaceOrder, now: UnixNanos, mono: MonoNanos) -> ReportBody {
        self.orders += 1;
        let mut venue_order_id = VenueOrderId::new();
        let _ = write!(venue_order_id, "{}", 1_300_000_000_000_000_000_u64 + self.orders);
        let mut client_id = ClientIdText::new();
        let _ = client_id.try_push_str(id.as_str());
        let rests = self.to_rest > 0;
        let update = OrderUpdate {
            symbol: place.symbol,
            client_id,
            venue_order_id,
            side: place.side,
            price: Some(place.price),
            qty: place.qty,
            filled: Scaled { mantissa: 0, decimals: place.qty.decimals },
            status: if rests { VenueOrderStatus::Live } else { VenueOrderStatus::Cancelled },
            created: now,
            updated: now,
        };
        if rests {
            self.to_rest -= 1;
            self.resting.push(update);
            return ReportBody::Accepted { id, verb: Verb::Place, venue_order_id, at: mono };
        }
        ReportBody::Order(update)
    }

    fn query(&self, intent: &SignIntent, now: UnixNanos) -> QueryAnswer {
        match intent {
            SignIntent::QueryOrder { id, .. } => {
                QueryAnswer::Order(self.resting.iter().find(|order| order.client_id.as_str() == id.as_str()).copied())
            }
            SignIntent::OpenOrders { .. } => QueryAnswer::Orders { page: self.resting.clone(), next: None },
            SignIntent::OrderHistory { .. } => QueryAnswer::Orders { page: Vec::new(), next: None },
            SignIntent::Fills { .. } => QueryAnswer::Fills { page: Vec::new(), next: None },
            _ => QueryAnswer::Balances(vec![balance("USDT", now), balance("BTC", now)]),
        }
    }
}

fn balance(asset: &str, now: UnixNanos) -> BalanceReport {
    BalanceReport {
        wallet: domain::Market::Spot,
        asset: asset.try_into().unwrap_or_default(),
        available: Amount(Decimal::from(1_000_000)),
        held: Amount::ZERO,
        venue_time: now,
    }
}
