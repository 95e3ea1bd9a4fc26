//! What the control plane shows and does, from the shared state and the order path's urgent lane.

use crate::audit_queue::AuditQueue;
use crate::audit_trail::RefusalLimit;
use crate::key_desk::KeyDesk;
use crate::shared::{OrderRow, Shared, Stretch};
use audit::{AuditEntry, AuditVerb, Decision, Name};
use control_plane::{
    Act, ActDone, ActRefused, ActVerb, ActorView, Backend, BalanceView, BookView, ClockView, EquityPoint, FeedView,
    FillView, FuturesView, HaltView, HopView, KeyDetail, KeyDone, KeyView, KeyWish, LevelView, NotReadyView, OrderView,
    Page, PositionView, SealingKeyView, Status, StrategyView,
};
use domain::{Fill, UnixNanos, VenueId};
use hot_actor::Lane;
use jiff::Timestamp;
use messages::{BookStatus, Control, HaltReason, NotReadyReason, Note, TradingState};
use order_path::Urgent;
use rust_decimal::Decimal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest wait until an act is in force.
const ACT_MAX: Duration = Duration::from_secs(5);
/// Digits of equity, profit and fees behind the point.
const MONEY_DECIMALS: u32 = 4;
/// Digits of an average price behind the point.
const PRICE_DECIMALS: u32 = 8;
/// Fills shown at the most.
const FILLS_MAX: usize = 1_000;

/// The control plane's way into the program.
pub struct Desk {
    /// What is shown.
    pub shared: Arc<Shared>,
    /// Where acts go.
    pub urgent: Lane<Urgent>,
    /// The exchange keys.
    pub keys: KeyDesk,
    /// Where acts are recorded; those that raise risk before they are done.
    pub audit: AuditQueue,
    /// Bounds what refused authentications may write.
    pub refusals: Mutex<RefusalLimit>,
}

fn time(at: UnixNanos) -> Timestamp {
    i64::try_from(at.0 / 1_000_000)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// An amount in quote as people read it: no more digits than a small coin's order needs.
fn money(amount: Decimal) -> Decimal {
    amount.round_dp(MONEY_DECIMALS)
}

/// A note cut to fit.
#[must_use]
pub fn note(text: &str) -> Note {
    let mut note = Note::new();
    for character in text.chars().filter(|character| !character.is_control()) {
        if note.try_push(character).is_err() {
            break;
        }
    }
    note
}

fn credential(verb: AuditVerb, decision: Decision, name: &str, origin: &str) -> AuditEntry {
    AuditEntry::by_system(verb, decision).from(Name::clear("operator"), Name::clear(origin)).about(Name::clear(name))
}

impl Desk {
    fn order_view(&self, row: &OrderRow) -> Option<OrderView> {
        let names = &self.shared.names;
        let order = &row.order;
        let instrument = names.instrument(order.instrument)?;
        Some(OrderView {
            client_order_id: order.id.to_string(),
            venue_order_id: order.venue_order_id.map(|id| id.to_string()),
            venue: names.venue(instrument.venue).to_owned(),
            instrument: instrument.symbol.to_string(),
            strategy: names.strategy(order.strategy).to_owned(),
            side: order.side.as_str().to_owned(),
            price: instrument.version.price_decimal(order.price),
            quantity: instrument.version.qty_decimal(order.qty),
            filled: instrument.version.qty_decimal(order.filled),
            state: order.state.as_str().to_owned(),
            open: order.state.may_rest(),
            note: row.note.clone(),
            created: time(order.created),
        })
    }

    fn fill_view(&self, fill: &Fill) -> Option<FillView> {
        let names = &self.shared.names;
        let instrument = names.instrument(fill.instrument)?;
        Some(FillView {
            venue_trade_id: fill.trade_id.to_string(),
            client_order_id: fill.order.to_string(),
            venue: names.venue(instrument.venue).to_owned(),
            instrument: instrument.symbol.to_string(),
            strategy: names.strategy(fill.strategy).to_owned(),
            side: fill.side.as_str().to_owned(),
            price: instrument.version.price_decimal(fill.price),
            quantity: instrument.version.qty_decimal(fill.qty),
            fee: fill.fee.amount.0,
            fee_asset: fill.fee.asset.to_string(),
            liquidity: fill.liquidity.as_str().to_owned(),
            time: time(fill.venue_time),
        })
    }

    /// Records something before it is done; false: it must not be done. What lowers risk does not wait.
    fn record(&self, entry: AuditEntry) -> bool {
        let verb = entry.verb;
        if !verb.raises_risk() {
            self.audit.post(entry);
            return true;
        }
        let recorded = self.audit.append(entry);
        if let Err(error) = &recorded {
            let error = crate::report::causes(error);
            tracing::error!(verb = verb.as_str(), error, "it could not be recorded and is refused");
        }
        recorded.is_ok()
    }

    /// Records an act before it is done; false: it must not be done.
    fn recorded(&self, act: &Act) -> bool {
        let verb = match act.verb {
            ActVerb::Pause => AuditVerb::Pause,
            ActVerb::Resume => AuditVerb::Resume,
            ActVerb::Halt => AuditVerb::Halt,
            ActVerb::Unhalt => AuditVerb::Unhalt,
        };
        let entry = AuditEntry::by_system(verb, Decision::Allowed)
            .from(Name::clear("operator"), Name::clear(&act.origin))
            .because(&act.reason);
        self.record(entry)
    }

    fn wait_for(&self, wanted: impl Fn(TradingState) -> bool) -> Option<TradingState> {
        let deadline = self.shared.clock.mono().after(ACT_MAX);
        loop {
            let state = self.shared.state().trading;
            if wanted(state) {
                return Some(state);
            }
            if self.shared.clock.mono() >= deadline {
                return None;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Backend for Desk {
    fn status(&self) -> Status {
        let shared = &self.shared;
        let not_ready = shared.not_ready().into_iter().map(NotReadyView::from).collect();
        let state = shared.state();
        let (now, mono) = (shared.clock.unix(), shared.clock.mono());
        let snapshot = state.portfolio.snapshot(0);
        let day = snapshot.realised_today.0.saturating_add(snapshot.unrealised.0);
        let strategies = snapshot
            .strategies
            .iter()
            .filter(|strategy| strategy.tag.0 != 0)
            .map(|strategy| {
                let view = StrategyView {
                    orders: strategy.orders,
                    fills: strategy.fills,
                    maker_fills: strategy.maker_fills,
                    refused: strategy.refused,
                };
                (strategy.name.clone(), view)
            })
            .collect();
        let venue_name = |venue: &VenueId| shared.names.venue(*venue).to_owned();
        let mut feeds: Vec<FeedView> = state
            .books
            .iter()
            .filter_map(|(id, (status, at))| {
                let instrument = shared.names.instrument(*id)?;
                Some(FeedView {
                    venue: venue_name(&instrument.venue),
                    channel: "book".to_owned(),
                    instrument: Some(instrument.symbol.to_string()),
                    valid: matches!(status, BookStatus::Valid(_)),
                    age_ms: u64::try_from(mono.since(*at).as_millis()).ok(),
                })
            })
            .collect();
        feeds.extend(state.streams.iter().map(|(venue, live)| FeedView {
            venue: venue_name(venue),
            channel: "private".to_owned(),
            instrument: None,
            valid: *live,
            age_ms: None,
        }));
        let keys = state
            .keys
            .iter()
            .map(|key| KeyView {
                alias: key.alias.clone(),
                venue: venue_name(&key.venue),
                status: key.status.to_owned(),
                permissions: key.rights.clone(),
                ip_bound: Some(key.bound_addresses > 0),
                rotation_due: Some(time(key.rotation_due)),
            })
            .collect();
        let clocks = state
            .clocks
            .iter()
            .map(|(venue, (offset_ns, uncertainty_ns, _))| ClockView {
                venue: venue_name(venue),
                skew_us: Some(-offset_ns / 1_000),
                uncertainty_us: Some(uncertainty_ns / 1_000),
            })
            .collect();
        let hops = state
            .hops
            .iter()
            .map(|(stretch, histogram)| {
                let view = HopView {
                    count: histogram.len(),
                    p50_ns: histogram.value_at_quantile(0.5),
                    p99_ns: histogram.value_at_quantile(0.99),
                };
                (Stretch::as_str(*stretch).to_owned(), view)
            })
            .collect();
        let actors = state
            .actors
            .iter()
            .map(|(name, (up, restarts))| {
                let (depth, capacity) = state.mailboxes.get(name).copied().unwrap_or_default();
                ActorView {
                    name: (*name).to_owned(),
                    up: *up,
                    restarts: *restarts,
                    mailbox_depth: u64::try_from(depth).unwrap_or(u64::MAX),
                    mailbox_capacity: u64::try_from(capacity).unwrap_or(u64::MAX),
                }
            })
            .collect();
        Status {
            mode: shared.mode.to_owned(),
            version: version(),
            time: time(now),
            uptime_seconds: mono.since(shared.started).as_secs(),
            trading: state.trading,
            since: time(state.since),
            halt: (state.trading == TradingState::Halted).then(|| HaltView {
                reason: state.halt.map_or("operator", HaltReason::as_str).to_owned(),
                explain: state.halt.map_or("halted", HaltReason::explain).to_owned(),
                note: state.note.to_string(),
            }),
            not_ready,
            quote: shared.names.quote.clone(),
            equity: shared.equity(&state).map(money),
            day_pnl: money(day),
            fees: money(snapshot.fees.0),
            open_orders: u64::try_from(snapshot.open_orders.len()).unwrap_or(u64::MAX),
            unknown_orders: snapshot.unknown,
            strategies,
            feeds,
            keys,
            clocks,
            hops,
            actors,
            addresses: shared.addresses.clone(),
        }
    }

    fn orders(&self, cursor: Option<u64>, limit: usize) -> Page<OrderView> {
        let state = self.shared.state();
        let rows = state.orders.iter().rev().filter(|row| cursor.is_none_or(|cursor| row.seq < cursor));
        let page: Vec<&OrderRow> = rows.take(limit.saturating_add(1)).collect();
        let next = (page.len() > limit).then(|| page.get(limit.saturating_sub(1)).map(|row| row.seq)).flatten();
        Page { items: page.iter().take(limit).filter_map(|row| self.order_view(row)).collect(), next }
    }

    fn fills(&self, cursor: Option<u64>, limit: usize) -> Page<FillView> {
        let state = self.shared.state();
        let newest = state.portfolio.fills().rev().take(FILLS_MAX);
        let page: Vec<_> = newest
            .filter(|(seq, ..)| cursor.is_none_or(|cursor| *seq < cursor))
            .take(limit.saturating_add(1))
            .collect();
        let next = (page.len() > limit).then(|| page.get(limit.saturating_sub(1)).map(|(seq, ..)| *seq)).flatten();
        Page { items: page.iter().take(limit).filter_map(|(_, _, fill)| self.fill_view(fill)).collect(), next }
    }

    fn positions(&self) -> Vec<PositionView> {
        let state = self.shared.state();
        let snapshot = state.portfolio.snapshot(0);
        snapshot
            .positions
            .iter()
            .map(|position| {
                let (held, price) = (position.qty.0, |price: Decimal| price.round_dp(PRICE_DECIMALS));
                PositionView {
                    venue: self.shared.names.venue(VenueId(position.venue)).to_owned(),
                    instrument: position.instrument.clone(),
                    strategy: position.strategy.clone(),
                    quantity: held,
                    entry: position.cost.0.checked_div(held).map(price),
                    mark: position.value.and_then(|value| value.0.checked_div(held)).map(price),
                    unrealised: position.unrealised.map(|pnl| money(pnl.0)),
                    realised: money(position.realised.0),
                    futures: position.futures.as_ref().map(|futures| FuturesView {
                        side: futures.side.as_str().to_owned(),
                        leverage: futures.leverage.map(u32::from),
                        margin_mode: futures.margin_mode.map(|mode| mode.as_str().to_owned()),
                        margin: futures.margin.map(|margin| money(margin.0)),
                        liquidation: futures.liquidation.map(|at| price(at.0)),
                        funding: money(futures.funding.0),
                    }),
                }
            })
            .collect()
    }

    fn balances(&self) -> Vec<BalanceView> {
        let state = self.shared.state();
        let snapshot = state.portfolio.snapshot(0);
        let view = |balance: &portfolio::BalanceView| BalanceView {
            venue: self.shared.names.venue(VenueId(balance.venue)).to_owned(),
            wallet: balance.wallet.as_str().to_owned(),
            asset: balance.asset.clone(),
            available: balance.available.0,
            held: balance.held.0,
        };
        snapshot.balances.iter().map(view).collect()
    }

    fn equity(&self) -> Vec<EquityPoint> {
        let state = self.shared.state();
        state.equity.iter().map(|(time_ms, equity)| EquityPoint { time_ms: *time_ms, equity: *equity }).collect()
    }

    fn book(&self) -> Vec<BookView> {
        let state = self.shared.state();
        let mono = self.shared.clock.mono();
        let level = |version: &domain::InstrumentVersion, level: &messages::ViewLevel| LevelView {
            price: version.price_decimal(level.price),
            quantity: version.qty_decimal(level.qty),
        };
        state
            .books
            .iter()
            .filter_map(|(id, (status, at))| {
                let instrument = self.shared.names.instrument(*id)?;
                let version = &instrument.version;
                let (bids, asks) = match status {
                    BookStatus::Valid(view) => (
                        view.bids.iter().map(|side| level(version, side)).collect(),
                        view.asks.iter().map(|side| level(version, side)).collect(),
                    ),
                    BookStatus::Invalid(_) => (Vec::new(), Vec::new()),
                };
                Some(BookView {
                    venue: self.shared.names.venue(instrument.venue).to_owned(),
                    instrument: instrument.symbol.to_string(),
                    valid: matches!(status, BookStatus::Valid(_)),
                    bids,
                    asks,
                    age_ms: u64::try_from(mono.since(*at).as_millis()).ok(),
                })
            })
            .collect()
    }

    fn credential_granted(&self, name: &str, origin: &str) -> bool {
        self.record(credential(AuditVerb::CredentialGranted, Decision::Allowed, name, origin))
    }

    fn credential_revoked(&self, name: &str, origin: &str) {
        self.audit.post(credential(AuditVerb::CredentialRevoked, Decision::Done, name, origin));
    }

    fn authentication_refused(&self, kind: &'static str, source: &str) {
        let now = self.shared.clock.mono();
        let admitted = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).admit(now);
        let Some(left_out) = admitted else { return };
        let words = if left_out == 0 { kind.to_owned() } else { format!("{kind}; {left_out} more before it") };
        let entry = AuditEntry::by_system(AuditVerb::AuthenticationRefused, Decision::Refused)
            .from(Name::clear("unknown"), Name::clear(source))
            .because(words);
        self.audit.post(entry);
    }

    fn ready(&self) -> Vec<NotReadyReason> {
        self.shared.not_ready()
    }

    fn act(&self, act: &Act) -> Result<ActDone, ActRefused> {
        let before = self.shared.state().trading;
        let words = note(&format!("{} (from {})", act.reason, act.origin));
        let refuse = |code, why: &str, fix: &str| Err(ActRefused { code, why: why.to_owned(), fix: fix.to_owned() });
        let (control, wanted): (Control, TradingState) = match (act.verb, before) {
            (ActVerb::Pause, TradingState::Halted) => {
                return refuse(
                    "halted",
                    "trading is halted, which is more than paused",
                    "steadfast unhalt --reason ...",
                );
            }
            (ActVerb::Resume, TradingState::Halted) => {
                return refuse("halted", "a halt is not lifted by resume", "steadfast unhalt --reason ...");
            }
            (ActVerb::Unhalt, TradingState::Active | TradingState::ReduceOnly) => {
                return refuse(
                    "not_halted",
                    "trading is not halted",
                    "nothing to do; `steadfast status` shows the state",
                );
            }
            (ActVerb::Pause, _) => (Control::Pause(words), TradingState::ReduceOnly),
            (ActVerb::Resume, _) => (Control::Resume(words), TradingState::Active),
            (ActVerb::Halt, _) => (Control::Halt(HaltReason::Operator, words), TradingState::Halted),
            (ActVerb::Unhalt, _) => (Control::Unhalt(words), TradingState::Active),
        };
        let resting = self.shared.state().portfolio.open_orders().count();
        tracing::info!(verb = act.verb.as_str(), reason = act.reason, origin = act.origin, "operator");
        if !self.recorded(act) {
            return refuse(
                "not_recorded",
                "it could not be recorded in the audit log, and what raises risk is not done unrecorded",
                "see the log; check the disk's room, then try again",
            );
        }
        if self.urgent.try_post(Urgent::Control(control)).is_err() {
            return refuse(
                "busy",
                "the order path takes no message now",
                "try again; if it persists, stop the process: its orders are cancelled",
            );
        }
        let Some(trading) = self.wait_for(|state| state == wanted) else {
            return refuse("timeout", "it was asked for and is not in force yet", "look at `steadfast status`");
        };
        let done = match act.verb {
            _ if trading == before => vec![format!("trading was {} already", trading.as_str())],
            ActVerb::Halt => vec![
                "new orders are blocked, also after a restart".to_owned(),
                format!("{resting} resting orders are being cancelled"),
            ],
            ActVerb::Pause => vec!["only orders that reduce a position are taken".to_owned()],
            ActVerb::Resume => vec!["orders are taken again".to_owned()],
            ActVerb::Unhalt => vec!["the halt is lifted; strategies go on from what they own".to_owned()],
        };
        Ok(ActDone { trading, done })
    }

    fn keys(&self) -> Result<Vec<KeyDetail>, ActRefused> {
        self.keys.keys()
    }

    fn sealing_key(&self) -> Result<SealingKeyView, ActRefused> {
        self.keys.sealing_key()
    }

    fn key_act(&self, wish: &KeyWish) -> Result<KeyDone, ActRefused> {
        self.keys.act(wish)
    }
}

/// Equity in quote, for the terminal.
#[must_use]
pub fn equity(shared: &Shared) -> Decimal {
    shared.state().portfolio.equity().0.0
}
/// The program's version.
fn version() -> String {
    #[cfg(feature = "leak-for-test")]
    if let Some(planted) = crate::leak::value("http") {
        return planted;
    }
    env!("CARGO_PKG_VERSION").to_owned()
}
