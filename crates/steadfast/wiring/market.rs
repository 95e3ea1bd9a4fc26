//! The joints of one venue's market side: feed, strategies, and their way to the order path.

use super::{ACK_WAIT_MAX, BOOK_AGE_MAX, BOOK_SILENCE_MAX, STRATEGY_BOUND};
use crate::commands;
use crate::observer::StrategySeat;
use crate::plan::{Plan, StrategyPlan, VenuePlan};
use crate::report::{Exit, Trouble};
use crate::shared::Shared;
use crate::station::Station;
use actix_rt::Arbiter;
use clock::SystemClock;
use domain::{Instrument, StrategyTag, VenueId};
use hot_actor::Lane;
use keeper::{Keeper, Outlet, Policy, Rebuild, RestartLimit};
use market_feed::{BookSource, FeedConfig, FeedInstrument, FeedSettings, MarketFeed};
use messages::{Control, HaltReason, MarketEvent, MarketEventKind, OrderIntent, RefuseReason};
use net::{Ping, WsConfig};
use order_path::Urgent;
use settings::KeyPath;
use std::sync::{Arc, Mutex};
use strategy::{CommandPort, Hosted, KindSetup, StrategyActor, StrategyHost, market_policy};

/// The feed and the strategies of one venue, on one arbiter.
pub(super) struct Market<'a> {
    pub(super) id: VenueId,
    pub(super) venue: &'a VenuePlan,
    pub(super) instruments: &'a [Instrument],
    pub(super) tags: &'a [(StrategyTag, StrategyPlan)],
    pub(super) plan: &'a Plan,
}

impl Market<'_> {
    pub(super) fn start(
        &self,
        arbiter: &Arbiter,
        keeper: &Keeper,
        writers: Arc<Mutex<market_feed::TopWriters>>,
        station: &Station,
        shared: &Arc<Shared>,
        died: &std::sync::mpsc::SyncSender<&'static str>,
    ) -> Result<StrategySeat, Trouble> {
        let own: Vec<(StrategyTag, StrategyPlan)> =
            self.tags.iter().filter(|(_, strategy)| strategy.venue == self.venue.name).cloned().collect();
        // Built once here, so that wrong parameters are told before anything trades.
        let tags = self.host(&own, station)?.trades().collect();
        let strategies = keeper.mailbox::<StrategyActor>("strategy", STRATEGY_BOUND);
        let market = strategies.outlet::<MarketEvent>(market_policy(self.instruments.len()));
        let seat = StrategySeat {
            venue: self.id,
            tags,
            start: strategies.outlet(Policy::Never),
            events: strategies.outlet(Policy::Never),
        };
        let factory = self.factory(own, station)?;
        let escalate = escalation(died, "strategy", station.lanes().urgent.clone());
        // A strategy host is not rebuilt: its strategies would have lost what happened in between.
        keeper.supervise_on(&arbiter.handle(), &strategies, factory, Rebuild::Never, escalate);
        self.feed(arbiter, keeper, writers, market, shared, died, station);
        Ok(seat)
    }

    fn host(&self, own: &[(StrategyTag, StrategyPlan)], station: &Station) -> Result<StrategyHost, Trouble> {
        let rate = self.plan.limits.max_orders_per_second;
        let share = rate / u32::try_from(own.len().max(1)).unwrap_or(1);
        let port: Arc<dyn CommandPort> = Arc::new(Port { lanes: station.lanes().clone() });
        let mut hosted = Vec::new();
        for (tag, strategy) in own {
            let place = KeyPath::of(["strategy", strategy.id.as_str(), "params"]);
            let wrong = |problems: settings::Problems| commands::check::trouble(&problems);
            let kind = strategy::kind(&strategy.kind, &KeyPath::of(["strategy", strategy.id.as_str(), "kind"]))
                .map_err(|problem| wrong(settings::Problems(vec![problem])))?;
            let setup = KindSetup {
                orders_per_second: share.max(1),
                market: domain::Market::of(&strategy.symbol),
                position_side: strategy.position_side,
            };
            let built = kind.build(setup, &strategy.params, &place).map_err(wrong)?;
            let instrument = self.instruments.iter().find(|instrument| instrument.symbol.as_str() == strategy.symbol);
            let Some(instrument) = instrument else {
                return Err(Trouble::new(
                    Exit::Settings,
                    format!("strategy `{}` trades {}, which its account does not follow", strategy.id, strategy.symbol),
                )
                .fix("add it to the account's instruments in config/venues/"));
            };
            hosted.push(Hosted {
                tag: *tag,
                name: strategy.id.clone(),
                kind: kind.name,
                instrument: instrument.clone(),
                strategy: built,
            });
        }
        Ok(StrategyHost::new(hosted, port, Arc::new(SystemClock)))
    }

    /// Makes the one host; it was built before, so it cannot fail here.
    fn factory(
        &self,
        own: Vec<(StrategyTag, StrategyPlan)>,
        station: &Station,
    ) -> Result<impl FnMut() -> StrategyActor + Send + 'static, Trouble> {
        let mut ready = Some(self.host(&own, station)?);
        let lanes = station.lanes().clone();
        Ok(move || {
            let empty =
                || StrategyHost::new(Vec::new(), Arc::new(Port { lanes: lanes.clone() }), Arc::new(SystemClock));
            StrategyActor::new(ready.take().unwrap_or_else(empty))
        })
    }

    #[expect(clippy::too_many_arguments, reason = "the joints of one actor, each used once")]
    fn feed(
        &self,
        arbiter: &Arbiter,
        keeper: &Keeper,
        writers: Arc<Mutex<market_feed::TopWriters>>,
        strategies: Outlet<MarketEvent>,
        shared: &Arc<Shared>,
        died: &std::sync::mpsc::SyncSender<&'static str>,
        station: &Station,
    ) {
        let (ping, ping_every) = self.venue.codecs.feed.ping();
        let mut socket =
            WsConfig::new(self.venue.ws_public.clone(), Ping::Text { ping: ping.into(), pong: "pong".into() });
        socket.plaintext = self.venue.plaintext;
        socket.ping_every = ping_every;
        let config = FeedConfig {
            venue: self.id,
            venue_name: self.venue.name.clone(),
            socket,
            settings: FeedSettings {
                book_age_max: BOOK_AGE_MAX,
                book_silence_max: BOOK_SILENCE_MAX,
                ack_wait_max: ACK_WAIT_MAX,
            },
            instruments: self
                .instruments
                .iter()
                .map(|instrument| FeedInstrument {
                    instrument: instrument.clone(),
                    book: BookSource::Full,
                    trades: true,
                })
                .collect(),
            lifetime: FeedConfig::LIFETIME,
        };
        let mailbox = keeper.mailbox::<MarketFeed>("market-feed", MarketFeed::MAILBOX);
        let (codec, own, shared) = (Arc::clone(&self.venue.codecs.feed), mailbox.clone(), Arc::clone(shared));
        let venue = self.id;
        let factory = move || {
            let (strategies, seen, live) = (strategies.clone(), Arc::clone(&shared), Arc::clone(&shared));
            MarketFeed::new(
                config.clone(),
                Arc::clone(&codec),
                Arc::new(SystemClock),
                &own,
                Arc::clone(&writers),
                Box::new(move |event: MarketEvent| {
                    if let MarketEventKind::Book(status) = &event.kind {
                        seen.state().books.insert(event.instrument, (status.clone(), event.received));
                    }
                    // Conflated when the strategies are behind; a host that is gone has been escalated.
                    let _ = strategies.post(event);
                }),
                Box::new(move |status| {
                    live.state().feeds.insert(venue, status.live);
                }),
            )
        };
        let escalate = escalation(died, "market-feed", station.lanes().urgent.clone());
        keeper.supervise_on(&arbiter.handle(), &mailbox, factory, Rebuild::Limited(RestartLimit::default()), escalate);
    }
}

/// What happens when an actor cannot be kept alive: halt, loudly.
pub(super) fn escalation(
    died: &std::sync::mpsc::SyncSender<&'static str>,
    part: &'static str,
    urgent: Lane<Urgent>,
) -> impl FnOnce(keeper::Escalation) + Send + 'static {
    let _ = died;
    move |escalation| {
        tracing::error!(actor = escalation.actor, cause = escalation.cause, "an actor failed and is not rebuilt");
        let note = crate::backend::note(&format!("{part}: {}", escalation.cause));
        let _ = urgent.post_wait(Urgent::Control(Control::Halt(HaltReason::ActorEscalated, note)));
    }
}

/// Strategies' way to the order path.
struct Port {
    lanes: hot_actor::Lanes<order_path::OrderPath>,
}

impl CommandPort for Port {
    fn place(&self, intent: OrderIntent) -> Result<(), RefuseReason> {
        self.lanes.messages.try_post(intent).map_err(|_| RefuseReason::OutboxFull)
    }

    fn cancel(&self, strategy: StrategyTag, order: domain::ClientOrderId) {
        // The lane is only full while reports pour in; the strategy asks again when nothing comes of it.
        let _ = self.lanes.urgent.try_post(Urgent::Control(Control::Cancel { strategy, order }));
    }
}
