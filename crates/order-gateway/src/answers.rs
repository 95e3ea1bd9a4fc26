//! From what became of a request to the reports about it. Pure.

use crate::departure::Departure;
use domain::{ClientOrderId, MonoNanos, Symbol};
use messages::{
    CouldNotAsk, EndpointGroup, QueryAnswer, QueryId, QueryPurpose, ReportBody, SignIntent, VenueError,
    VenueErrorClass, VenueReason, Verb,
};
use net::{HttpAnswer, HttpFailure};
use signing::Route;
use std::time::Duration;
use venue_api::{ActAnswer, RestCodec};

/// What is to be told about one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// To the order path.
    Report(ReportBody),
    /// To whoever verifies keys.
    Verify(QueryPurpose, QueryId, QueryAnswer),
    /// The signature for a log-in did not come to a frame: ask again.
    StreamLoginLost,
}

/// What the path of a report needs of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// What was asked for.
    pub intent: SignIntent,
    /// Where its answer goes.
    pub route: Route,
    /// When it was signed.
    pub signed: MonoNanos,
}

impl Ticket {
    /// The part of a request that outlives its bytes.
    #[must_use]
    pub(crate) fn of(departure: &impl Departure) -> Self {
        Self { intent: *departure.intent(), route: departure.route(), signed: departure.signed() }
    }
}

/// It never left.
#[must_use]
pub(crate) fn not_sent(ticket: &Ticket) -> Told {
    match acted(ticket) {
        Some((id, verb)) => Told::Report(ReportBody::NotSent { id, verb }),
        None => other(ticket, CouldNotAsk::NotSent),
    }
}

/// It was answered.
#[must_use]
pub(crate) fn answered(codec: &dyn RestCodec, ticket: &Ticket, answer: &HttpAnswer) -> Vec<Told> {
    let body = answer.body.as_ref();
    match ticket.route {
        Route::Query(query, purpose) => {
            let answer = codec.query_answer(&ticket.intent, answer.status, body);
            vec![query_told(query, purpose, answer)]
        }
        Route::Setting => setting_told(ticket, codec.act_answer(&ticket.intent, answer.status, body)),
        Route::Order(_) | Route::CancelAll => {
            let came = codec.act_answer(&ticket.intent, answer.status, body);
            let first_byte = answer.timings.first_byte.unwrap_or(answer.timings.asked);
            act_told(ticket, came, first_byte, answer.timings.answered)
        }
    }
}

fn act_told(ticket: &Ticket, came: ActAnswer, first_byte: MonoNanos, at: MonoNanos) -> Vec<Told> {
    let Some((id, verb)) = acted(ticket) else {
        let accepted = matches!(came, ActAnswer::Done | ActAnswer::Accepted(_));
        return cancel_all(ticket, accepted);
    };
    let outcome = match came {
        ActAnswer::Accepted(venue_order_id) => ReportBody::Accepted { id, verb, venue_order_id, at },
        ActAnswer::Failed(error) => ReportBody::Failed { id, verb, error },
        // "Done" names no order: it says nothing about this one.
        ActAnswer::Done | ActAnswer::Unclear => ReportBody::AnswerMissing { id, verb },
    };
    vec![Told::Report(ReportBody::Sent { id, verb, at: first_byte }), Told::Report(outcome)]
}

/// There is no answer.
#[must_use]
pub(crate) fn failed(ticket: &Ticket, failure: &HttpFailure, now: MonoNanos) -> Vec<Told> {
    match (failure, acted(ticket)) {
        (HttpFailure::NotSent(_), _) => vec![not_sent(ticket)],
        (HttpFailure::OutcomeUnknown(_), Some((id, verb))) => vec![
            Told::Report(ReportBody::Sent { id, verb, at: now }),
            Told::Report(ReportBody::AnswerMissing { id, verb }),
        ],
        (HttpFailure::OutcomeUnknown(_), None) => vec![other(ticket, CouldNotAsk::Network)],
    }
}

/// The order that a request acts on.
fn acted(ticket: &Ticket) -> Option<(ClientOrderId, Verb)> {
    match ticket.route {
        Route::Order(id) => Some((id, ticket.intent.verb())),
        Route::CancelAll | Route::Setting | Route::Query(..) => None,
    }
}

fn other(ticket: &Ticket, cause: CouldNotAsk) -> Told {
    match ticket.route {
        Route::Query(query, purpose) => query_told(query, purpose, QueryAnswer::CouldNotAsk(cause)),
        Route::Setting => {
            let class = match cause {
                CouldNotAsk::NotSent => VenueErrorClass::Retry,
                _ => VenueErrorClass::OutcomeUnknown,
            };
            Told::Report(setting(&ticket.intent, Some(unanswered(class))))
        }
        Route::Order(_) | Route::CancelAll => match ticket.intent {
            SignIntent::CancelAll { symbol } => Told::Report(ReportBody::CancelAllDone { symbol, accepted: false }),
            _ => Told::StreamLoginLost,
        },
    }
}

/// What a venue said about leverage or a mode.
fn setting_told(ticket: &Ticket, came: ActAnswer) -> Vec<Told> {
    let error = match came {
        ActAnswer::Accepted(_) | ActAnswer::Done => None,
        ActAnswer::Failed(error) => Some(error),
        ActAnswer::Unclear => Some(unanswered(VenueErrorClass::OutcomeUnknown)),
    };
    vec![Told::Report(setting(&ticket.intent, error))]
}

fn setting(intent: &SignIntent, error: Option<VenueError>) -> ReportBody {
    let symbol = match intent {
        SignIntent::SetLeverage { symbol, .. } | SignIntent::SetMarginMode { symbol, .. } => *symbol,
        _ => Symbol::new(),
    };
    ReportBody::SettingAnswered { verb: intent.verb(), symbol, error }
}

/// There is no word of the venue that could be read.
fn unanswered(class: VenueErrorClass) -> VenueError {
    VenueError {
        code: Default::default(),
        class,
        reason: VenueReason::System,
        text: "no answer came".try_into().unwrap_or_default(),
    }
}

fn cancel_all(ticket: &Ticket, accepted: bool) -> Vec<Told> {
    match ticket.intent {
        SignIntent::CancelAll { symbol } => vec![Told::Report(ReportBody::CancelAllDone { symbol, accepted })],
        _ => Vec::new(),
    }
}

fn query_told(query: QueryId, purpose: QueryPurpose, answer: QueryAnswer) -> Told {
    match purpose {
        QueryPurpose::Reconcile => Told::Report(ReportBody::Answer { query, answer }),
        QueryPurpose::Verify | QueryPurpose::VerifyCandidate => Told::Verify(purpose, query, answer),
        QueryPurpose::Stream => Told::StreamLoginLost,
    }
}

/// How long the venue wants us to wait, group by group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waits {
    in_a_row: [u32; EndpointGroup::ALL.len()],
}

impl Waits {
    /// The first wait when the venue names none.
    pub(crate) const WAIT_MIN: Duration = Duration::from_secs(1);
    /// No wait is longer: the venue's own penalty for the whole address lasts five minutes.
    pub(crate) const WAIT_MAX: Duration = Duration::from_secs(300);

    /// Looks at an answer's status; gives the wait to report when the venue limits us.
    pub(crate) fn look(
        &mut self,
        verb: Verb,
        status: u16,
        retry_after: Option<&str>,
    ) -> Option<(EndpointGroup, Duration)> {
        let group = EndpointGroup::of(verb);
        let in_a_row = self.in_a_row.get_mut(group as usize)?;
        if !matches!(status, 418 | 429) {
            *in_a_row = 0;
            return None;
        }
        let doubled = Self::WAIT_MIN.saturating_mul(1_u32 << (*in_a_row).min(12));
        *in_a_row += 1;
        let named = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        // 418 is a ban, not a hint.
        let least = if status == 418 { Self::WAIT_MAX } else { Duration::ZERO };
        Some((group, named.unwrap_or(doubled).max(least).clamp(Self::WAIT_MIN, Self::WAIT_MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire_log::tests::id;
    use net::{AnswerHeaders, Cause, Timings};

    /// Answers what its body says.
    struct Scripted;

    impl RestCodec for Scripted {
        fn act_answer(&self, _: &SignIntent, status: u16, body: &[u8]) -> ActAnswer {
            match body {
                b"accepted" => ActAnswer::Accepted(domain::VenueOrderId::from("77").unwrap()),
                b"done" => ActAnswer::Done,
                b"failed" => ActAnswer::Failed(self.classify(status, "43012", "")),
                _ => ActAnswer::Unclear,
            }
        }
        fn query_answer(&self, _: &SignIntent, _: u16, _: &[u8]) -> QueryAnswer {
            QueryAnswer::Order(None)
        }
        fn classify(&self, _: u16, code: &str, _: &str) -> messages::VenueError {
            messages::VenueError {
                code: arrayvec::ArrayString::from(code).unwrap(),
                class: messages::VenueErrorClass::Refused,
                reason: messages::VenueReason::Balance,
                text: arrayvec::ArrayString::new(),
            }
        }
    }

    fn answer(body: &'static [u8]) -> HttpAnswer {
        HttpAnswer {
            status: 200,
            headers: AnswerHeaders::default(),
            body: net::Bytes::from_static(body),
            timings: Timings { asked: MonoNanos(1), first_byte: Some(MonoNanos(2)), answered: MonoNanos(3) },
        }
    }

    fn cancel_ticket() -> Ticket {
        let symbol = Symbol::from("BTCUSDT").unwrap();
        let intent = SignIntent::Cancel { symbol, id: id(1), venue_order_id: None };
        Ticket { intent, route: Route::Order(id(1)), signed: MonoNanos(0) }
    }

    fn query_ticket(purpose: QueryPurpose) -> Ticket {
        Ticket { intent: SignIntent::Balances, route: Route::Query(QueryId(9), purpose), signed: MonoNanos(0) }
    }

    fn sent(at: u64) -> Told {
        Told::Report(ReportBody::Sent { id: id(1), verb: Verb::Cancel, at: MonoNanos(at) })
    }

    fn missing() -> Told {
        Told::Report(ReportBody::AnswerMissing { id: id(1), verb: Verb::Cancel })
    }

    #[test]
    fn answers_about_an_order_say_first_that_it_was_sent() {
        let told = answered(&Scripted, &cancel_ticket(), &answer(b"accepted"));
        assert_eq!(told[0], sent(2));
        assert!(matches!(&told[1], Told::Report(ReportBody::Accepted { at: MonoNanos(3), .. })));
        let told = answered(&Scripted, &cancel_ticket(), &answer(b"failed"));
        assert!(matches!(&told[1], Told::Report(ReportBody::Failed { error, .. }) if error.code.as_str() == "43012"));
    }

    #[test]
    fn answer_that_cannot_be_relied_on_is_a_missing_answer() {
        for body in [b"<html>".as_slice(), b"", b"done"] {
            let body: &'static [u8] = Box::leak(body.to_vec().into_boxed_slice());
            assert_eq!(answered(&Scripted, &cancel_ticket(), &answer(body)), [sent(2), missing()]);
        }
    }

    #[test]
    fn only_proof_makes_not_sent_and_everything_else_is_unknown() {
        let not_sent_told = [Told::Report(ReportBody::NotSent { id: id(1), verb: Verb::Cancel })];
        let never = HttpFailure::NotSent(Cause::SendByPassed);
        assert_eq!(failed(&cancel_ticket(), &never, MonoNanos(5)), not_sent_told);
        let unknown = HttpFailure::OutcomeUnknown(Cause::NoAnswerInTime);
        assert_eq!(failed(&cancel_ticket(), &unknown, MonoNanos(5)), [sent(5), missing()]);
    }

    #[test]
    fn question_without_an_answer_is_never_not_found() {
        for purpose in [QueryPurpose::Reconcile, QueryPurpose::Verify, QueryPurpose::VerifyCandidate] {
            for (failure, cause) in [
                (HttpFailure::NotSent(Cause::SendByPassed), CouldNotAsk::NotSent),
                (HttpFailure::OutcomeUnknown(Cause::NoAnswerInTime), CouldNotAsk::Network),
            ] {
                let told = failed(&query_ticket(purpose), &failure, MonoNanos(5));
                let expected = query_told(QueryId(9), purpose, QueryAnswer::CouldNotAsk(cause));
                assert_eq!(told, [expected]);
            }
        }
        for purpose in [QueryPurpose::Verify, QueryPurpose::VerifyCandidate] {
            let verified = answered(&Scripted, &query_ticket(purpose), &answer(b""));
            assert_eq!(verified, [Told::Verify(purpose, QueryId(9), QueryAnswer::Order(None))]);
        }
    }

    #[test]
    fn cancel_all_is_told_by_its_instrument_whatever_came() {
        let symbol = Symbol::from("BTCUSDT").unwrap();
        let ticket = Ticket { intent: SignIntent::CancelAll { symbol }, route: Route::CancelAll, signed: MonoNanos(0) };
        let told = |accepted| [Told::Report(ReportBody::CancelAllDone { symbol, accepted })];
        assert_eq!(answered(&Scripted, &ticket, &answer(b"done")), told(true));
        assert_eq!(answered(&Scripted, &ticket, &answer(b"failed")), told(false));
        assert_eq!(failed(&ticket, &HttpFailure::OutcomeUnknown(Cause::NoAnswerInTime), MonoNanos(5)), told(false));
        assert_eq!([not_sent(&ticket)], told(false));
    }

    #[test]
    fn limits_of_the_venue_double_the_wait_until_an_answer_passes() {
        let mut waits = Waits::default();
        let second = |seconds| Some((EndpointGroup::Place, Duration::from_secs(seconds)));
        assert_eq!(waits.look(Verb::Place, 200, None), None);
        assert_eq!(waits.look(Verb::Place, 429, None), second(1));
        assert_eq!(waits.look(Verb::Place, 429, None), second(2));
        assert_eq!(waits.look(Verb::Cancel, 429, None), Some((EndpointGroup::Cancel, Duration::from_secs(1))));
        assert_eq!(waits.look(Verb::Place, 429, Some("7")), second(7));
        assert_eq!(waits.look(Verb::Place, 200, None), None);
        assert_eq!(waits.look(Verb::Place, 429, Some("soon")), second(1));
        assert_eq!(waits.look(Verb::Place, 418, Some("5")), second(300));
        for _ in 0..40 {
            let (_, wait) = waits.look(Verb::Place, 429, None).unwrap();
            assert!(wait <= Waits::WAIT_MAX);
        }
    }

    #[test]
    fn what_became_of_a_setting_is_always_told_and_only_a_clear_yes_is_one() {
        let symbol = Symbol::from("BTCUSDT-PERP").unwrap();
        let ticket = Ticket {
            intent: SignIntent::SetLeverage { symbol, leverage: 3 },
            route: Route::Setting,
            signed: MonoNanos(0),
        };
        let class = |told: &Told| match told {
            Told::Report(ReportBody::SettingAnswered { verb: Verb::SetLeverage, symbol: of, error })
                if *of == symbol =>
            {
                error.map(|error| error.class)
            }
            _ => panic!("{told:?}"),
        };
        let told = |body| answered(&Scripted, &ticket, &answer(body));
        assert_eq!(told(b"done").iter().map(class).collect::<Vec<_>>(), [None]);
        assert_eq!(told(b"failed").iter().map(class).collect::<Vec<_>>(), [Some(VenueErrorClass::Refused)]);
        assert_eq!(told(b"???").iter().map(class).collect::<Vec<_>>(), [Some(VenueErrorClass::OutcomeUnknown)]);
        assert_eq!(class(&not_sent(&ticket)), Some(VenueErrorClass::Retry));
    }
}
