//! After any sequence of faults no slot is valid with a wrong book, and the feed recovers from all of them.

use crate::fake::{FakeVenue, Lines, Proof, instrument};
use domain::{InstrumentId, MonoNanos, UnixNanos};
use market_feed::{BookSource, FeedOutput, FeedSettings, FeedState, FrameTime, Top};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const NAMES: [&str; 3] = ["A", "B", "C"];

#[derive(Debug, Clone, Copy)]
enum Fate {
    Delivered,
    Lost,
    Twice,
    Corrupted,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Change { name: usize, bid: bool, offset: i64, qty: i64, fate: Fate },
    Time { millis: u64 },
    Cut,
    Unreadable { name: usize },
    Garbage,
    FrameLost,
    AnswersLost { lost: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        8 => Just(Fate::Delivered),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        1 => Just(Fate::Corrupted),
    ];
    prop_oneof![
        20 => (0..NAMES.len(), any::<bool>(), -8_i64..9, 0_i64..4, fate)
            .prop_map(|(name, bid, offset, qty, fate)| Step::Change { name, bid, offset, qty, fate }),
        6 => (1_u64..4_000).prop_map(|millis| Step::Time { millis }),
        1 => Just(Step::Cut),
        1 => (0..NAMES.len()).prop_map(|name| Step::Unreadable { name }),
        1 => Just(Step::Garbage),
        1 => Just(Step::FrameLost),
        1 => any::<bool>().prop_map(|lost| Step::AnswersLost { lost }),
    ]
}

struct Model {
    state: FeedState,
    venue: FakeVenue,
    proof: Proof,
    now: MonoNanos,
    tops: BTreeMap<InstrumentId, Top>,
    /// Sequence number of the last true book message that arrived, by instrument.
    arrived: [u64; 3],
    answers_lost: bool,
}

impl Model {
    fn new(proof: Proof) -> Self {
        let instruments: Vec<_> =
            (0..3).map(|id| instrument(id, NAMES[usize::from(id)], BookSource::Full, id == 1)).collect();
        let state = FeedState::new(Arc::new(Lines), FeedSettings::default(), &instruments);
        let venue = FakeVenue::new(proof, &NAMES);
        let tops = BTreeMap::new();
        let mut model = Self { state, venue, proof, now: MonoNanos(1), tops, arrived: [0; 3], answers_lost: false };
        model.act(FeedState::on_connected);
        model
    }

    fn act(&mut self, act: impl FnOnce(&mut FeedState, MonoNanos, &mut Vec<FeedOutput>)) {
        let mut out = Vec::new();
        act(&mut self.state, self.now, &mut out);
        self.settle(out);
    }

    /// Does what the feed wants, and what follows from it.
    fn settle(&mut self, out: Vec<FeedOutput>) {
        let mut waiting: VecDeque<FeedOutput> = out.into();
        while let Some(output) = waiting.pop_front() {
            match output {
                FeedOutput::Top(id, top) => {
                    self.tops.insert(id, top);
                }
                FeedOutput::Send(text) => {
                    for answer in self.venue.receive(&text) {
                        if !self.answers_lost {
                            waiting.extend(self.arrive(&answer));
                        }
                    }
                }
                FeedOutput::Reconnect(_) => {
                    self.venue.cut();
                    let mut more = Vec::new();
                    self.state.on_disconnected(self.now, &mut more);
                    self.state.on_connected(self.now, &mut more);
                    waiting.extend(more);
                }
                FeedOutput::Event(_) | FeedOutput::ClosingSoon | FeedOutput::Live(_) => {}
            }
        }
    }

    fn arrive(&mut self, text: &str) -> Vec<FeedOutput> {
        if let Some(name) = NAMES.iter().position(|name| text.split(' ').nth(2) == Some(*name)) {
            self.arrived[name] = self.venue.seq(NAMES[name]);
        }
        self.raw(text)
    }

    fn raw(&mut self, text: &str) -> Vec<FeedOutput> {
        let mut out = Vec::new();
        let at = FrameTime { mono: self.now, unix: UnixNanos(self.now.0) };
        self.state.on_frame(text.as_bytes(), at, &mut out);
        out
    }

    fn change(&mut self, name: usize, bid: bool, offset: i64, qty: i64, fate: Fate) {
        let Some(push) = self.venue.change(NAMES[name], bid, offset, qty) else { return };
        match (fate, self.proof) {
            (Fate::Delivered, _) => {
                let out = self.arrive(&push);
                self.settle(out);
            }
            (Fate::Twice, _) => {
                for _ in 0..2 {
                    let out = self.arrive(&push);
                    self.settle(out);
                }
            }
            // Without a checksum nobody can see a corrupted number: such a venue relies on its transport.
            (Fate::Lost, _) | (Fate::Corrupted, Proof::Sequence) => {}
            (Fate::Corrupted, Proof::Checksum) => {
                let corrupted = push.replacen(".0", ".5", 2);
                if corrupted != push {
                    let out = self.raw(&corrupted);
                    self.settle(out);
                }
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Change { name, bid, offset, qty, fate } => self.change(name, bid, offset, qty, fate),
            Step::Time { millis } => {
                self.now = self.now.after(Duration::from_millis(millis));
                self.act(FeedState::on_tick);
            }
            Step::Cut => self.settle(vec![FeedOutput::Reconnect("cut")]),
            Step::Unreadable { name } => {
                let out = self.raw(&format!("upd book {} 1 1 1 x,x; -", NAMES[name]));
                self.settle(out);
            }
            Step::Garbage => {
                let out = self.raw("broken");
                self.settle(out);
            }
            Step::FrameLost => self.act(FeedState::on_frame_lost),
            Step::AnswersLost { lost } => self.answers_lost = lost,
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (name, arrived) in NAMES.iter().zip(self.arrived) {
            let id = InstrumentId(u16::try_from(NAMES.iter().position(|one| one == name).unwrap()).unwrap());
            if let Some(Top(Ok(top))) = self.tops.get(&id) {
                prop_assert!(self.venue.is_true_top(name, arrived, top), "{name} at {arrived}: {top:?}");
            }
        }
        Ok(())
    }
}

fn run(proof: Proof, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut model = Model::new(proof);
    for step in steps {
        model.step(*step);
        model.check()?;
        if let Step::Time { .. } = step {
            for top in model.tops.values().filter_map(|top| top.0.ok()) {
                prop_assert!(top.age(model.now) <= FeedSettings::default().book_age_max, "an old top is not valid");
            }
        }
    }
    // Then all goes well again, and within the bounds of the waits every book is back.
    model.answers_lost = false;
    for _ in 0..200 {
        model.step(Step::Time { millis: 1_000 });
        for name in 0..NAMES.len() {
            model.change(name, true, 0, 3, Fate::Delivered);
        }
        model.check()?;
    }
    prop_assert!(model.state.complete(model.now));
    prop_assert!(model.tops.values().all(|top| top.0.is_ok()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_slot_is_valid_with_a_wrong_book_where_sequences_tell(steps in proptest::collection::vec(step(), 0..120)) {
        run(Proof::Sequence, &steps)?;
    }

    #[test]
    fn no_slot_is_valid_with_a_wrong_book_where_checksums_tell(steps in proptest::collection::vec(step(), 0..120)) {
        run(Proof::Checksum, &steps)?;
    }
}
