//! Leverage and modes, and the budget of orders that the venue lets only reduce.

use super::*;
use crate::document::{FuturesPolicy, ReduceLimits};
use crate::{DeriveFacts, FuturesFacts, PolicyDocument, PolicyGate, PolicyRefusal, SavedBudgets};
use domain::{MonoNanos, PositionEffect, PositionSide, UnixNanos};
use messages::{KeyRole, MarginMode, PositionMode, SignIntent, Verb};

const PERP: &str = "BTCUSDT-PERP";
const REDUCE: PositionEffect = PositionEffect { side: PositionSide::Net, reduce_only: true };

fn futures() -> PolicyDocument {
    let reduce = ReduceLimits { minute: number("6"), hour: number("12"), day: number("18") };
    let perpetual = InstrumentPolicy { leverage_max: Some(3), reduce: Some(reduce), ..instrument(PERP) };
    PolicyDocument {
        futures: Some(FuturesPolicy {
            settings: RateLimit { per_second: 1, burst: 3 },
            margin_modes: vec![MarginMode::Crossed],
            position_modes: Vec::new(),
        }),
        instruments: vec![instrument("BTCUSDT"), perpetual],
        ..document()
    }
}

struct Desk {
    gate: PolicyGate,
    memory: Memory,
    next: u64,
    now: u64,
}

impl Desk {
    fn new(document: PolicyDocument) -> Self {
        let gate = PolicyGate::new(document, epoch(1), SavedBudgets::none(), UnixNanos(1));
        Self { gate, memory: Memory::default(), next: 1, now: 1 }
    }

    fn sign(&mut self, intent: SignIntent) -> Result<(), PolicyRefusal> {
        self.gate.admit(&intent, false, UnixNanos(self.now), MonoNanos(self.now), &mut self.memory)
    }

    fn place(&mut self, side: Side, price: &str, qty: &str, effect: PositionEffect) -> Result<(), PolicyRefusal> {
        self.next += 1;
        let order = PlaceOrder { id: client_id(1, self.next), symbol: symbol(PERP), effect, ..order(side, price, qty) };
        self.sign(SignIntent::Place(order))
    }

    fn leverage(&mut self, name: &str, leverage: u16) -> Result<(), PolicyRefusal> {
        self.sign(SignIntent::SetLeverage { symbol: symbol(name), leverage })
    }
}

#[test]
fn leverage_is_signed_up_to_the_limit_of_its_instrument_and_nowhere_else() {
    let mut desk = Desk::new(futures());
    assert_eq!(desk.leverage(PERP, 3), Ok(()));
    for leverage in [0, 4, u16::MAX] {
        assert_eq!(desk.leverage(PERP, leverage), Err(PolicyRefusal::Leverage));
    }
    assert_eq!(desk.leverage("BTCUSDT", 1), Err(PolicyRefusal::Leverage), "spot has none");
    assert_eq!(desk.leverage("ETHUSDT-PERP", 1), Err(PolicyRefusal::Symbol));
}

#[test]
fn modes_are_signed_as_the_document_names_them_and_no_others() {
    let mut desk = Desk::new(futures());
    let margin = |mode| SignIntent::SetMarginMode { symbol: symbol(PERP), mode };
    assert_eq!(desk.sign(margin(MarginMode::Crossed)), Ok(()));
    assert_eq!(desk.sign(margin(MarginMode::Isolated)), Err(PolicyRefusal::Mode));
    for mode in PositionMode::ALL {
        assert_eq!(desk.sign(SignIntent::SetPositionMode { mode }), Err(PolicyRefusal::Mode));
    }
}

#[test]
fn settings_have_a_small_rate_of_their_own_and_orders_go_on() {
    let mut desk = Desk::new(futures());
    for _ in 0..3 {
        assert_eq!(desk.leverage(PERP, 2), Ok(()));
    }
    assert_eq!(desk.leverage(PERP, 2), Err(PolicyRefusal::SettingRate));
    assert_eq!(desk.place(Side::Buy, "100", "1", PositionEffect::default()), Ok(()));
    desk.now += 1_000_000_000;
    assert_eq!(desk.leverage(PERP, 2), Ok(()));
}

#[test]
fn a_document_of_an_earlier_version_sets_nothing() {
    let text = document().to_text();
    assert!(!text.contains("leverage_max") && !text.contains("\"futures\""), "{text}");
    let mut desk = Desk::new(PolicyDocument::parse(&text).unwrap());
    assert_eq!(desk.leverage("BTCUSDT", 1), Err(PolicyRefusal::Leverage));
    let mode = SignIntent::SetMarginMode { symbol: symbol("BTCUSDT"), mode: MarginMode::Crossed };
    assert_eq!(desk.sign(mode), Err(PolicyRefusal::Mode));
}

#[test]
fn orders_on_perpetuals_count_like_any_other_and_a_flag_alone_frees_nothing() {
    let mut desk = Desk::new(PolicyDocument { instruments: vec![instrument(PERP)], ..futures() });
    for _ in 0..2 {
        assert_eq!(desk.place(Side::Sell, "100", "4", REDUCE), Ok(()));
    }
    assert_eq!(desk.place(Side::Sell, "100", "4", REDUCE), Err(PolicyRefusal::Minute), "without a budget of its own");
    assert_eq!(desk.place(Side::Sell, "49", "1", REDUCE), Err(PolicyRefusal::SellBelowBand));
}

#[test]
fn what_only_reduces_passes_band_and_windows_within_its_own_quantity() {
    let mut desk = Desk::new(futures());
    for _ in 0..2 {
        assert_eq!(desk.place(Side::Sell, "100", "4", PositionEffect::default()), Ok(()));
    }
    assert_eq!(desk.place(Side::Sell, "100", "4", PositionEffect::default()), Err(PolicyRefusal::Minute));
    assert_eq!(desk.place(Side::Sell, "100", "4", REDUCE), Ok(()));
    assert_eq!(desk.place(Side::Sell, "10", "2", REDUCE), Ok(()), "far below the band");
    assert_eq!(desk.place(Side::Sell, "10", "0.1", REDUCE), Err(PolicyRefusal::Minute), "six in a minute");
    assert_eq!(desk.place(Side::Buy, "900", "0.4", REDUCE), Ok(()), "each side has its own");
    // The limits of one order hold for it too.
    assert_eq!(desk.place(Side::Buy, "900", "1", REDUCE), Err(PolicyRefusal::OrderNotional));
    assert_eq!(desk.place(Side::Buy, "1", "5", REDUCE), Err(PolicyRefusal::OrderQuantity));
}

#[test]
fn closing_one_of_two_positions_frees_nothing_with_or_without_the_flag() {
    // In hedge mode the bytes carry no such flag.
    for reduce_only in [false, true] {
        let mut desk = Desk::new(futures());
        let close = PositionEffect { side: PositionSide::Long, reduce_only };
        assert_eq!(desk.place(Side::Sell, "10", "1", close), Err(PolicyRefusal::SellBelowBand));
        for _ in 0..2 {
            assert_eq!(desk.place(Side::Sell, "100", "4", close), Ok(()));
        }
        assert_eq!(desk.place(Side::Sell, "100", "4", close), Err(PolicyRefusal::Minute));
    }
}

#[test]
fn closing_one_of_two_positions_counts_as_a_buy_and_as_a_sell() {
    for (side, position) in [(Side::Sell, PositionSide::Long), (Side::Buy, PositionSide::Short)] {
        let mut desk = Desk::new(futures());
        let close = PositionEffect { side: position, reduce_only: false };
        // An account that holds one position would take a sell above the band for a buy, and a buy below it for a sell.
        assert_eq!(desk.place(side, "900", "0.1", close), Err(PolicyRefusal::BuyAboveBand));
        assert_eq!(desk.place(side, "10", "0.1", close), Err(PolicyRefusal::SellBelowBand));
        for _ in 0..2 {
            assert_eq!(desk.place(side, "100", "4", close), Ok(()));
        }
        for other in [Side::Buy, Side::Sell] {
            let order = desk.place(other, "100", "4", PositionEffect::default());
            assert_eq!(order, Err(PolicyRefusal::Minute), "{other} after closing {position:?}");
        }
    }
    let mut desk = Desk::new(futures());
    let open = PositionEffect { side: PositionSide::Long, reduce_only: false };
    assert_eq!(desk.place(Side::Buy, "100", "4", open), Ok(()));
    for _ in 0..2 {
        assert_eq!(desk.place(Side::Sell, "100", "4", PositionEffect::default()), Ok(()), "opening is one side's");
    }
}

#[test]
fn a_restart_does_not_refill_the_budget_of_what_reduces() {
    let mut desk = Desk::new(futures());
    assert_eq!(desk.place(Side::Sell, "10", "4", REDUCE), Ok(()));
    assert_eq!(desk.place(Side::Sell, "10", "2", REDUCE), Ok(()));
    let saved = desk.memory.saved.clone();
    let gate = PolicyGate::new(futures(), epoch(2), saved, UnixNanos(2));
    let mut desk = Desk { gate, ..Desk::new(futures()) };
    desk.now = 2;
    assert_eq!(desk.place(Side::Sell, "10", "1", REDUCE), Err(PolicyRefusal::Minute));
}

#[test]
fn the_name_of_a_budget_is_no_instrument() {
    let mut desk = Desk::new(futures());
    let order = PlaceOrder { symbol: symbol("BTCUSDT-PERP cut"), ..order(Side::Buy, "100", "1") };
    assert_eq!(desk.sign(SignIntent::Place(order)), Err(PolicyRefusal::Symbol));
    assert_eq!(desk.leverage("BTCUSDT-PERP cut", 1), Err(PolicyRefusal::Symbol));
}

#[test]
fn more_leverage_modes_or_reducing_is_a_loosening_and_less_is_none() {
    let now = futures();
    let with = |change: fn(&mut PolicyDocument)| {
        let mut next = futures();
        change(&mut next);
        next
    };
    let looser = [
        with(|next| next.instruments[1].leverage_max = Some(4)),
        with(|next| next.instruments[1].reduce.as_mut().unwrap().day = number("19")),
        with(|next| next.futures.as_mut().unwrap().margin_modes = MarginMode::ALL.to_vec()),
        with(|next| next.futures.as_mut().unwrap().position_modes = vec![PositionMode::Hedge]),
        with(|next| next.futures.as_mut().unwrap().settings.burst = 4),
    ];
    assert!(looser.iter().all(|next| now.is_loosening(next)));
    let tighter = [
        with(|next| next.instruments[1].leverage_max = None),
        with(|next| next.instruments[1].reduce = None),
        with(|next| next.futures = None),
    ];
    assert!(tighter.iter().all(|next| !now.is_loosening(next) && next.is_loosening(&now)));
}

#[test]
fn the_proposed_policy_has_the_configured_leverage_and_no_position_mode_and_says_so() {
    let facts = DeriveFacts {
        symbol: symbol(PERP),
        price: number("100"),
        max_order_notional: number("250"),
        max_order_quantity: None,
        max_open_orders: 50,
        max_orders_per_second: 5,
        max_cancels_per_second: 20,
        placements_per_minute: 10,
        futures: Some(FuturesFacts { leverage: 2, margin_mode: MarginMode::Crossed }),
    };
    let document = PolicyDocument::derive(&[facts], UnixNanos(0));
    assert_eq!(document.instruments[0].leverage_max, Some(2));
    assert_eq!(document.instruments[0].reduce.unwrap().minute, number("50"));
    let modes = document.futures.clone().unwrap();
    assert_eq!((modes.margin_modes, modes.position_modes), (vec![MarginMode::Crossed], vec![]));
    let lines = document.describe().join("\n");
    for part in
        ["leverage: at most 2 times", "margin modes that may be set: crossed; position modes: none", "only reduce"]
    {
        assert!(lines.contains(part), "{part} in\n{lines}");
    }
    let asks = [Verb::Positions, Verb::FuturesSettings, Verb::Bills];
    assert!(asks.iter().all(|verb| document.roles.of(KeyRole::Stream).contains(verb)));
    assert!(!document.roles.of(KeyRole::Stream).contains(&Verb::SetLeverage));
    let spot = PolicyDocument::derive(&[DeriveFacts { futures: None, ..facts }], UnixNanos(0));
    assert_eq!((spot.futures, spot.instruments[0].leverage_max, spot.instruments[0].reduce), (None, None, None));
}
