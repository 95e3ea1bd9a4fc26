//! Control: what people, the key manager and the watchers of clocks, streams and disks tell the order path.

use crate::core::{Core, note};
use crate::types::{Effects, Now};
use arrayvec::ArrayString;
use domain::{InstrumentId, VenueId};
use messages::{AccountMode, Control, EventBody, Note, TradingState};

impl Core {
    /// Takes a control message.
    pub fn control(&mut self, control: Control, now: Now, out: &mut dyn Effects) {
        match control {
            Control::Cancel { strategy, order } => self.strategy_cancel(strategy, order, now, out),
            Control::CancelAll => self.cancel_everything(),
            Control::Pause(note) if self.trading == TradingState::Active => {
                self.set_state(TradingState::ReduceOnly, note, now, out);
            }
            Control::Resume(note) if self.trading == TradingState::ReduceOnly => {
                self.set_state(TradingState::Active, note, now, out);
            }
            Control::Pause(_) | Control::Resume(_) => {}
            Control::Halt(reason, note) => self.halt(reason, note, now, out),
            Control::Unhalt(note) if self.trading == TradingState::Halted => {
                out.store_halt(None);
                self.guard.guard().rearm();
                self.set_state(TradingState::Active, note, now, out);
            }
            Control::Unhalt(_) => {}
            Control::InstrumentChanged(version) => {
                self.add_version(version);
                self.publish(EventBody::Instrument(version), now, out);
            }
            Control::ClockMeasured { venue, uncertainty_ns, at, .. } => {
                if let Some(state) = self.venues.get_mut(venue.index()) {
                    state.clock = Some((at, uncertainty_ns));
                    state.clock_lost = false;
                }
            }
            Control::ClockLost(venue) => {
                if let Some(state) = self.venues.get_mut(venue.index()) {
                    state.clock_lost = true;
                }
            }
            Control::PrivateStream { venue, live } => self.private_stream(venue, live, now),
            Control::KeyDuty(venue, duty) => {
                if let Some(state) = self.venues.get_mut(venue.index()) {
                    state.duty = duty;
                }
                self.maybe_reconcile(venue, now);
            }
            Control::AccountMode(venue, mode) => {
                self.account_mode(venue, mode, now);
                let who = ArrayString::from("key-manager").unwrap_or_default();
                let what = note(&format!("account mode {}", mode.as_str()));
                self.publish(EventBody::Act { who, what }, now, out);
            }
            Control::SignerBack(epoch) => self.signer_back(epoch, now),
            Control::JournalFailed => self.journal_ok = false,
            Control::JournalHealed => self.journal_ok = true,
            Control::WireLogFailed => self.wire_ok = false,
            Control::Shutdown { cancel } => {
                self.stopping = Some(cancel);
                if cancel {
                    self.cancel_everything();
                }
            }
        }
    }

    /// Another account mode: the venue's books are others, and so is the wallet that margins futures.
    fn account_mode(&mut self, venue: VenueId, mode: AccountMode, now: Now) {
        let Some(state) = self.venues.get_mut(venue.index()) else { return };
        if state.setup.account == mode {
            return;
        }
        state.setup.account = mode;
        state.reconciled = false;
        self.exposure.set_unified(venue, mode == AccountMode::Unified);
        self.asking.abandon_run(venue);
        self.maybe_reconcile(venue, now);
    }

    fn private_stream(&mut self, venue: VenueId, live: bool, now: Now) {
        if let Some(state) = self.venues.get_mut(venue.index()) {
            state.stream_lost = if live { None } else { state.stream_lost.or(Some(now.mono)) };
            state.stream_live = live;
            if !live {
                // Fills may go unseen from here on: nothing new until they have been asked for.
                state.reconciled = false;
            }
        }
        if live {
            let instruments = &self.instruments;
            let here = |id: InstrumentId| instruments.get(id.index()).is_some_and(|of| of.venue == venue);
            self.asking.futures.try_settings_again(here);
            self.maybe_reconcile(venue, now);
        } else {
            self.asking.abandon_run(venue);
        }
    }

    /// The halt stays. Its cancels are made again with what rests, and the venues are asked what they know.
    fn signer_back(&mut self, epoch: domain::Epoch, now: Now) {
        self.silences = 0;
        for state in &mut self.venues {
            state.setup.epoch = epoch;
            state.reconciled = false;
        }
        let venues = u8::try_from(self.venues.len()).unwrap_or(u8::MAX);
        for venue in (0..venues).map(VenueId) {
            self.asking.abandon_run(venue);
            self.maybe_reconcile(venue, now);
        }
        self.cancel_everything();
    }

    fn set_state(&mut self, state: TradingState, note: Note, now: Now, out: &mut dyn Effects) {
        self.trading = state;
        self.halt = None;
        self.publish(EventBody::Trading { state, halt: None, note }, now, out);
    }
}
