//! The property that the gate is for: whatever is asked, whatever fails, no real window holds more than its limit.

use super::{MemoryDisk, client_id, document, epoch, order};
use crate::{BudgetFile, PolicyDocument, PolicyGate, SavedBudgets};
use domain::{MonoNanos, Scaled, Side, UnixNanos};
use messages::{PlaceOrder, SignIntent};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;

#[derive(Debug, Clone)]
enum Step {
    Order {
        sell: bool,
        cents: i64,
        milli: i64,
        again: bool,
    },
    Wait(u64),
    /// The wall clock is set, so many seconds from the truth, and measured anew.
    SetWall(i64),
    /// The process is killed, or the machine; it comes back later, its wall clock so much further behind.
    Crash {
        power: bool,
        away: u64,
        behind: u64,
    },
    Stop {
        away: u64,
    },
    FailIo(u64),
    Replace(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![0..2 * SECOND, 0..70 * SECOND, 0..4_000 * SECOND, 0..40_000 * SECOND];
    let step = prop_oneof![
        30 => (any::<bool>(), 4_000_i64..21_000, 1_i64..4_200, prop::bool::weighted(0.05))
            .prop_map(|(sell, cents, milli, again)| Step::Order { sell, cents, milli, again }),
        8 => pause.clone().prop_map(Step::Wait),
        1 => (-100_000_i64..100_000).prop_map(Step::SetWall),
        2 => (any::<bool>(), pause.clone(), 0..5_000 * SECOND)
            .prop_map(|(power, away, behind)| Step::Crash { power, away, behind }),
        1 => pause.prop_map(|away| Step::Stop { away }),
        2 => (0_u64..12).prop_map(Step::FailIo),
        1 => (0_usize..3).prop_map(Step::Replace),
    ];
    prop::collection::vec(step, 1..250)
}

/// What was let through, at real times, checked without any of the gate's code.
#[derive(Default)]
struct Checker {
    signed: Vec<(u64, bool, i128, i128)>,
}

impl Checker {
    /// In 10^-5 of quote and 10^-3 of base.
    fn check(&mut self, now: u64, sell: bool, cents: i64, milli: i64) -> Result<(), TestCaseError> {
        self.signed.push((now, sell, i128::from(cents) * i128::from(milli), i128::from(milli)));
        for (seconds, notional, base) in [(60, 1_000, 10), (3_600, 3_000, 30), (86_400, 10_000, 100)] {
            let inside = self.signed.iter().filter(|one| one.1 == sell && one.0 + seconds * SECOND > now);
            let (quote_sum, base_sum) = inside.fold((0, 0), |sum, one| (sum.0 + one.2, sum.1 + one.3));
            prop_assert!(quote_sum <= notional * 100_000, "{quote_sum} in {seconds} s");
            prop_assert!(base_sum <= base * 1_000, "{base_sum} in {seconds} s");
        }
        prop_assert!(if sell { cents >= 5_000 } else { cents <= 20_000 }, "{sell} at {cents}");
        Ok(())
    }
}

/// One life of the signer's policy over many processes.
struct World {
    disk: MemoryDisk,
    real: u64,
    /// Real time at which this process's monotonic clock stood at zero.
    born: u64,
    /// The wall clock less the truth.
    skew: i64,
    /// The least in this process: at the next start it is no more, for then the wall clock is believed.
    least_skew: i64,
    run: u32,
    policy: PolicyDocument,
    gate: PolicyGate,
    file: BudgetFile,
}

const DIR: &str = "/custody";

fn wall(real: u64, skew: i64) -> UnixNanos {
    UnixNanos(real).shifted(skew)
}

fn open(disk: &MemoryDisk, run: u32, now: UnixNanos) -> (BudgetFile, SavedBudgets) {
    if let Ok(opened) = BudgetFile::open_on(Arc::new(disk.clone()), Path::new(DIR), "main", epoch(run), now) {
        return opened;
    }
    // A request failed; the next start must find a file that can be read, whatever was half done.
    disk.heal();
    BudgetFile::open_on(Arc::new(disk.clone()), Path::new(DIR), "main", epoch(run), now).unwrap()
}

impl World {
    fn new() -> Self {
        let disk = MemoryDisk::default();
        let (file, saved) = open(&disk, 1, UnixNanos(START));
        let gate = PolicyGate::new(document(), epoch(1), saved, UnixNanos(START));
        let (skew, least_skew) = (0, 0);
        Self { disk, real: START, born: START, skew, least_skew, run: 1, policy: document(), gate, file }
    }

    fn restart(&mut self, away: u64, behind: u64) {
        self.real += away;
        self.born = self.real - self.real % 1_000;
        self.skew = self.least_skew - i64::try_from(behind).unwrap();
        self.least_skew = self.skew;
        self.run += 1;
        let now = wall(self.real, self.skew);
        let (file, saved) = open(&self.disk, self.run, now);
        self.file = file;
        self.gate = PolicyGate::new(self.policy.clone(), epoch(self.run), saved, now);
    }

    fn mono(&self) -> MonoNanos {
        MonoNanos(self.real - self.born)
    }

    fn take(&mut self, step: &Step, sequence: u64, checker: &mut Checker) -> Result<(), TestCaseError> {
        match *step {
            Step::Order { sell, cents, milli, again } => {
                let intent = SignIntent::Place(PlaceOrder {
                    id: client_id(self.run, sequence),
                    price: Scaled { mantissa: cents, decimals: 2 },
                    qty: Scaled { mantissa: milli, decimals: 3 },
                    side: if sell { Side::Sell } else { Side::Buy },
                    ..order(Side::Buy, "1", "1")
                });
                let (unix, mono) = (wall(self.real, self.skew), self.mono());
                if self.gate.admit(&intent, again, unix, mono, &mut self.file).is_ok() && !again {
                    checker.check(self.real, sell, cents, milli)?;
                }
            }
            Step::Wait(nanos) => self.real += nanos,
            Step::SetWall(seconds) => {
                self.skew = seconds * 1_000_000_000;
                self.least_skew = self.least_skew.min(self.skew);
                self.gate.clock_measured(wall(self.real, self.skew), self.mono());
            }
            Step::Crash { power, away, behind } => {
                if power {
                    self.disk = self.disk.after_power_loss();
                }
                self.restart(away, behind);
            }
            Step::Stop { away } => {
                let _ = self.gate.settle(wall(self.real, self.skew), self.mono(), &mut self.file);
                self.restart(away, 0);
            }
            Step::FailIo(count) => self.disk.fail_after(count),
            Step::Replace(kept) => {
                self.policy = document();
                self.policy.instruments.truncate(kept);
                self.gate.replace(self.policy.clone());
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn no_real_window_ever_holds_more_than_its_limit(steps in steps()) {
        let mut world = World::new();
        let mut checker = Checker::default();
        for (sequence, step) in (1..).zip(&steps) {
            world.take(step, sequence, &mut checker)?;
        }
    }
}

#[test]
fn budgets_can_be_used_to_the_full_and_the_checker_sees_an_order_too_many() {
    let mut world = World::new();
    let mut checker = Checker::default();
    // 250 each: four in a minute.
    for sequence in 1..20 {
        let one = Step::Order { sell: false, cents: 12_500, milli: 2_000, again: false };
        world.take(&one, sequence, &mut checker).unwrap();
    }
    assert_eq!(checker.signed.len(), 4);
    assert!(checker.check(world.real, false, 12_500, 2_000).is_err());
}

#[test]
fn crash_after_crash_never_grants_more_than_one_window() {
    let mut world = World::new();
    let mut checker = Checker::default();
    for sequence in 1..200 {
        let one = Step::Order { sell: true, cents: 10_000, milli: 500, again: false };
        world.take(&one, sequence, &mut checker).unwrap();
        world.take(&Step::Crash { power: sequence % 2 == 0, away: SECOND, behind: 0 }, sequence, &mut checker).unwrap();
    }
    // Every crash loses the rest of a slice, so only a few get through.
    assert!((4..=20).contains(&checker.signed.len()), "{}", checker.signed.len());
}
