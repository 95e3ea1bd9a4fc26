//! The pieces of the way, each for itself.

use super::BenchError;
use super::frames::{FRAMES, MID, books5, scatter, scattered};
use super::rig::{INSTRUMENT, STRATEGY, SYMBOL, SteppedClock, VENUE, identity, instrument, limits, signer, version};
use super::sampler::{BATCH, Rounds, Samples, batched, singly};
use super::venue::Venue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clock::SystemClock;
use domain::{
    Amount, Book, BookMessage, CancelState, ClientOrderId, Clock, Level, MonoNanos, Order, OrderState, Price, Qty,
    Rounding, Scaled, Sequence, Side, TimeInForce,
};
use messages::{OrderIntent, PlaceOrder, SignIntent, TopUsed, TradingState};
use order_signer::InlineSigner;
use risk_guard::{Exposure, Gate, RiskGuard, StrategyLimits};
use rust_decimal::Decimal;
use secrets::{SecretBytes, SigningKey};
use sha2::block_api::compress256;
use signing::{SignedRequest, SignerPort};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use venue_api::FeedFrame;

/// Times of one piece: batch means, and single operations.
pub(super) struct Piece {
    pub(super) batches: Samples,
    pub(super) singles: Samples,
}

fn both<S>(
    rounds: Rounds,
    state: &mut S,
    mut prepare: impl FnMut(&mut S, u32),
    mut operation: impl FnMut(&mut S, usize),
) -> Result<Piece, BenchError> {
    let batches = batched(rounds.batches, state, &mut prepare, &mut operation)?;
    let singles = singly(rounds.singles, state, &mut prepare, &mut operation)?;
    Ok(Piece { batches, singles })
}

/// The control: five SHA-256 compressions, the least that HMAC-SHA256 of 220 bytes with a keyed state takes.
pub(super) fn control(rounds: Rounds) -> Result<Piece, BenchError> {
    let blocks = [[0x5A_u8; 64]; 5];
    let mut state = [0x6A09_E667_u32; 8];
    both(rounds, &mut state, |_, _| {}, |state, _| compress256(black_box(state), black_box(&blocks)))
}

/// One reading of the monotonic clock.
pub(super) fn clock_reading(rounds: Rounds) -> Result<Samples, BenchError> {
    batched(
        rounds.batches,
        &mut (),
        |(), _| {},
        |(), _| {
            black_box(SystemClock.mono());
        },
    )
}

/// A `books5` frame from text to numbers.
pub(super) fn decode(rounds: Rounds) -> Result<Piece, BenchError> {
    let codec = venue_bitget::codecs(venue_bitget::Environment::Production).feed;
    let frames = books5();
    let mut state = (FeedFrame::default(), 0_usize, true);
    let piece = both(
        rounds,
        &mut state,
        |_, _| {},
        |(frame, next, fine), _| {
            let bytes = frames.get(*next).map_or(&[][..], Vec::as_slice);
            *next = (*next + 1) % FRAMES;
            *fine &= codec.decode(black_box(bytes), frame).is_ok();
        },
    )?;
    if state.2 { Ok(piece) } else { Err(BenchError::Setup("a frame of the bench cannot be read")) }
}

/// Levels of one update; the times are divided by it.
const LEVELS: usize = 16;

/// One changed level near the top of a book of 400 levels, in updates of 16.
pub(super) fn book_level(rounds: Rounds) -> Result<Samples, BenchError> {
    let depth = 200_i64;
    let level = |price: i64, qty: i64| Level { price: Price(price), qty: Qty(qty), price_shown: 2, qty_shown: 6 };
    let bids: Vec<Level> = (1..=depth).map(|at| level(MID - at * 10, 1_000 + at)).collect();
    let asks: Vec<Level> = (1..=depth).map(|at| level(MID + at * 10, 1_000 + at)).collect();
    let mut book = Book::new(2, 6, Duration::from_secs(10));
    let snapshot = BookMessage { bids: &bids, asks: &asks, seq: 1, prev_seq: None, checksum: None };
    book.apply_snapshot(&snapshot, MonoNanos(0)).map_err(|_| BenchError::Setup("a book of the bench is not valid"))?;
    // Most changes are near the top; one in four inserts between two levels, and as many delete.
    let updates: Vec<(Vec<Level>, Vec<Level>)> = (0..512_u64)
        .map(|update| {
            let side = |sign: i64, salt: u64| -> Vec<Level> {
                (0_u64..)
                    .take(LEVELS / 2)
                    .map(|nth| {
                        let seed = (update / 2 * 64 + salt + nth) * 3;
                        let reach = if nth % 4 == 0 { depth } else { 20 };
                        let at = 1 + scattered(seed, reach);
                        let between = i64::from(nth % 4 == 1) * 5;
                        let gone = between > 0 && update % 2 == 1;
                        level(
                            MID + sign * (at * 10 + between),
                            if gone { 0 } else { 1 + scattered(seed + update, 9_000) },
                        )
                    })
                    .collect()
            };
            (side(-1, 7), side(1, 1_007))
        })
        .collect();
    let mut state = (book, 0_usize, 1_u64, true);
    let mut means = Samples::new()?;
    let size = u32::try_from(LEVELS).unwrap_or(1);
    for round in 0..rounds.batches + rounds.batches / 10 {
        let start = SystemClock.mono();
        for _ in 0..BATCH / 8 {
            let (book, next, seq, fine) = &mut state;
            let Some((bids, asks)) = updates.get(*next) else { break };
            let update = BookMessage { bids, asks, seq: *seq + 1, prev_seq: Some(*seq), checksum: None };
            *fine &= book.apply_update(black_box(&update), MonoNanos(*seq)).is_ok();
            *seq += 1;
            *next = (*next + 1) % updates.len();
        }
        let time = SystemClock.mono().since(start);
        if round >= rounds.batches / 10 {
            means.record(time, BATCH / 8 * size);
        }
    }
    if state.3 { Ok(means) } else { Err(BenchError::Setup("a book of the bench is not valid")) }
}

fn order(sequence: u64, intent: &OrderIntent) -> Result<Order, BenchError> {
    let identity = identity()?;
    let number = Sequence::new(sequence).map_err(|_| BenchError::Setup("a sequence does not fit"))?;
    Ok(Order {
        id: ClientOrderId::new(identity.tag, identity.epoch, number),
        strategy: STRATEGY,
        reference: intent.reference,
        instrument: INSTRUMENT,
        version: intent.price.version(),
        side: intent.side,
        price: intent.price.price(),
        qty: intent.qty.qty(),
        time_in_force: intent.time_in_force,
        effect: intent.effect,
        state: OrderState::Acked,
        cancel: CancelState::None,
        filled: Qty::ZERO,
        filled_by_fills: Qty::ZERO,
        venue_order_id: None,
        created: domain::UnixNanos(0),
    })
}

struct Checks {
    guard: RiskGuard,
    exposure: Exposure,
    gate: Gate,
    intents: Vec<OrderIntent>,
    now: MonoNanos,
    accepted: u64,
}

/// One order through every check, with 20 orders resting.
pub(super) fn risk_check(rounds: Rounds) -> Result<Piece, BenchError> {
    let unix = SystemClock.unix();
    let mut exposure = Exposure::new(&[instrument()?], &[domain::StrategyTag(0), STRATEGY], unix);
    for asset in ["USDT", "BTC"] {
        let asset = asset.try_into().map_err(|_| BenchError::Setup("a name does not fit"))?;
        exposure.on_balance(VENUE, domain::Market::Spot, asset, Amount(Decimal::from(1_000_000)), Amount::ZERO);
    }
    let mut now = MonoNanos(1_000_000_000_000);
    for number in 0..Venue::RESTING {
        let sequence = u64::try_from(number + 1).unwrap_or(1);
        exposure.on_order(None, &order(sequence, &Venue::resting_order(number, now)?)?);
    }
    let top = TopUsed { bid: Price(MID - 10), ask: Price(MID + 10), received: now };
    exposure.mark(INSTRUMENT, top);
    let mut intents = Vec::new();
    for nth in 0..u64::from(BATCH) {
        let off_grid = |_| BenchError::Setup("an order of the bench is off the grid");
        intents.push(OrderIntent {
            reference: 1,
            price: version()
                .order_price(Price(MID - 500 - scattered(nth, 2_000)), Rounding::Exact)
                .map_err(off_grid)?,
            qty: version().order_qty(Qty(500 + i64::try_from(nth).unwrap_or(0)), Rounding::Exact).map_err(off_grid)?,
            time_in_force: TimeInForce::PostOnly,
            effect: domain::PositionEffect::default(),
            ..Venue::resting_order(0, now)?
        });
    }
    now = now.after(Duration::from_secs(2));
    let gate = Gate {
        trading: TradingState::Active,
        reconciled: true,
        clock_ok: true,
        key_active: true,
        stream_live: true,
        durable: true,
        stopping: false,
    };
    let guard = RiskGuard::new(limits(), &[(STRATEGY, StrategyLimits::default())]);
    let mut state = Checks { guard, exposure, gate, intents, now, accepted: 0 };
    let rules = version();
    let piece = both(
        rounds,
        &mut state,
        |_, _| {},
        |state, nth| {
            // As far apart as orders of a pace that a venue takes.
            state.now = state.now.after(SteppedClock::STEP / 16);
            let Some(intent) = state.intents.get(nth) else { return };
            let top = Ok(TopUsed { received: state.now, ..top });
            let Checks { guard, exposure, gate, now, .. } = state;
            let checked = guard.check(black_box(intent), &rules, gate, top, exposure, *now);
            state.accepted += u64::from(checked.is_ok());
        },
    )?;
    let checked = u64::from(rounds.batches + rounds.batches / 10) * u64::from(BATCH)
        + u64::from(rounds.singles + rounds.singles / 10);
    if state.accepted == checked {
        Ok(piece)
    } else {
        Err(BenchError::Setup("the risk guard refuses the bench's orders"))
    }
}

/// HMAC-SHA256 of 220 bytes, and base64 of it.
pub(super) fn sign(rounds: Rounds) -> Result<Piece, BenchError> {
    let secret = SecretBytes::from_slice(b"sk_invented_for_the_bench_0123456789abcdef");
    let key = secret.and_then(SigningKey::new).map_err(|_| BenchError::Setup("no memory for a key"))?;
    let mut text = [b'x'; 220];
    let mut out = [0_u8; 44];
    for (byte, number) in text.iter_mut().zip(0_u64..) {
        *byte = b'a' + u8::try_from(scatter(number) % 26).unwrap_or(0);
    }
    both(
        rounds,
        &mut out,
        |_, _| {},
        |out, _| {
            let mac = key.sign(&[black_box(text.as_slice())]);
            let _ = black_box(BASE64.encode_slice(mac, out));
        },
    )
}

struct Signings {
    signer: InlineSigner,
    intents: Vec<SignIntent>,
    last: Option<SignedRequest>,
    sequence: u64,
}

impl Signings {
    /// The next orders; each sequence is signed once, and goes on from the last one signed.
    fn prepare(&mut self) -> Result<(), BenchError> {
        let identity = identity()?;
        self.intents.clear();
        for _ in 0..BATCH {
            self.sequence += 1;
            let number = Sequence::new(self.sequence).map_err(|_| BenchError::Setup("a sequence does not fit"))?;
            self.intents.push(SignIntent::Place(PlaceOrder {
                id: ClientOrderId::new(identity.tag, identity.epoch, number),
                symbol: SYMBOL.try_into().map_err(|_| BenchError::Setup("a name does not fit"))?,
                side: Side::Buy,
                price: Scaled { mantissa: MID - 500 - scattered(self.sequence, 2_000), decimals: 2 },
                qty: Scaled { mantissa: 500 + scattered(self.sequence, 100), decimals: 6 },
                time_in_force: TimeInForce::PostOnly,
                effect: domain::PositionEffect::default(),
            }));
        }
        Ok(())
    }
}

/// An order's request built and signed: body, text to be signed, headers, the checks of its id and time.
pub(super) fn build_and_sign(rounds: Rounds) -> Result<Piece, BenchError> {
    let size = usize::try_from(BATCH).unwrap_or(1);
    let signer = signer(Arc::new(SystemClock))?;
    let mut state = Signings { signer, intents: Vec::with_capacity(size), last: None, sequence: 0 };
    let piece = both(
        rounds,
        &mut state,
        |state, _| {
            let _ = state.prepare();
        },
        |state, nth| {
            let Some(intent) = state.intents.get(nth) else { return };
            if let Ok(request) = state.signer.sign(black_box(intent)) {
                // Moved into its place as into the outbox; the one before is wiped.
                state.last = Some(black_box(request));
            }
        },
    )?;
    let expected = u64::from(rounds.batches + rounds.batches / 10) * u64::from(BATCH)
        + u64::from(rounds.singles + rounds.singles / 10);
    let signed = state.signer.handle().tally().signed;
    if signed == expected { Ok(piece) } else { Err(BenchError::Setup("the signer refuses the bench's orders")) }
}
