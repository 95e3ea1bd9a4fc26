//! The venue's error codes: what each means for what comes next.
//!
//! The table follows sheet section 7; stream codes follow section 5.1. Invariant: a code that is
//! not in the table never proves that nothing happened.

use crate::loose::cut;
use messages::VenueErrorClass::{self, Fatal, OutcomeUnknown, Refused, Retry};
use messages::VenueReason as Why;
use messages::{VenueError, VenueReason};

/// The code of every success.
pub(crate) const SUCCESS: &str = "00000";

/// REST codes with their class and reason.
///
/// System errors and time-outs are [`OutcomeUnknown`]; for a question, which changes nothing, they
/// become [`Retry`] (see [`for_question`]). "Not found" and "cannot be cancelled" answer a cancel
/// with "ask what the order is", so they are [`OutcomeUnknown`] too. Duplicate client order ids are
/// not a rejection of the intent: the order is there.
const REST: &[(&[u32], VenueErrorClass, VenueReason)] = &[
    (&[40001, 40002, 40003, 40011, 40007], Fatal, Why::BadRequest),
    (&[40005], Fatal, Why::Clock),
    (&[40006, 40037, 40041], Fatal, Why::KeyUnknown),
    (&[40004, 40008, 40078, 40079], Retry, Why::Clock),
    (&[40009], Fatal, Why::Signature),
    (&[40012, 40036], Fatal, Why::Passphrase),
    (&[40013, 40022, 40023, 40024, 40026, 40031], Fatal, Why::AccountRestricted),
    (&[40016, 40035, 40100, 40101, 40111, 40000, 40103, 40104], Fatal, Why::AccountRestricted),
    (&[40014, 40025, 40040, 40301], Fatal, Why::Permission),
    (&[40018, 40038, 22010], Fatal, Why::IpNotAllowed),
    (&[40084, 40085], Fatal, Why::AccountMode),
    (&[40099], Fatal, Why::Environment),
    (&[40010, 40910, 40015, 40725, 45001, 50031], OutcomeUnknown, Why::System),
    (&[40200], OutcomeUnknown, Why::Maintenance),
    (
        &[
            40017, 40019, 40020, 40034, 40808, 400171, 400172, 41101, 41103, 43011, 43111, 48001, 48002, 40304, 40305,
            40306, 40912, 40404, 30032, 40774, 45021, 45109, 40920, 45117, 45097,
        ],
        Refused,
        Why::BadRequest,
    ),
    (&[40072, 40102, 42016, 50024], Refused, Why::Instrument),
    (&[40109, 40768, 43001, 45057, 80011, 40819, 43025, 43020, 31007, 22001], OutcomeUnknown, Why::OrderNotFound),
    (&[43002, 43003], Refused, Why::Other),
    (&[45055, 45056, 45129], OutcomeUnknown, Why::NotCancellable),
    (&[40786, 40708, 43118, 45034, 50060, 25212], OutcomeUnknown, Why::DuplicateClientId),
    (
        &[
            43012, 40754, 45002, 50020, 40762, 40711, 40712, 40798, 40800, 25202, 25203, 22002, 40757, 43029, 45003,
            45006,
        ],
        Refused,
        Why::Balance,
    ),
    (&[43006, 43010, 43027, 43037, 43042, 45110, 45111, 45114], Refused, Why::TooSmall),
    (&[43007, 43038, 43041, 45112, 45113], Refused, Why::TooLarge),
    (&[43008, 43009, 43028, 43039, 43040, 45035, 45115, 40815, 40816], Refused, Why::Price),
    (
        &[40308, 40844, 41113, 41114, 43115, 43119, 45043, 50027, 40309, 40845, 50028, 22067, 40931],
        Refused,
        Why::Instrument,
    ),
    (&[43005, 43128, 40723, 40761, 45118, 40889], Refused, Why::TooManyOrders),
    (&[429, 30014, 50009], Retry, Why::RateLimit),
];

/// Stream codes with their class and reason.
const STREAM: &[(&[u32], VenueErrorClass, VenueReason)] = &[
    (&[30001, 30003, 30016], Refused, Why::BadRequest),
    (&[30002, 30004], Retry, Why::Other),
    (&[30005, 30015], Fatal, Why::Signature),
    (&[30006, 30007], Retry, Why::RateLimit),
    (&[30011], Fatal, Why::KeyUnknown),
    (&[30012], Fatal, Why::Passphrase),
    (&[30013, 30014], Retry, Why::Clock),
    (&[30033], Retry, Why::Maintenance),
];

/// The code with which the venue announces that it will close its streams.
pub(crate) const CLOSING_SOON: &str = "30033";

/// Stream codes that answer a log-in.
pub(crate) const LOGIN_CODES: [&str; 7] = ["30002", "30005", "30011", "30012", "30013", "30014", "30015"];

fn find(table: &[(&[u32], VenueErrorClass, VenueReason)], code: &str) -> Option<(VenueErrorClass, VenueReason)> {
    let number = code.parse().ok()?;
    table.iter().find(|(codes, ..)| codes.contains(&number)).map(|(_, class, reason)| (*class, *reason))
}

fn error((class, reason): (VenueErrorClass, VenueReason), code: &str, text: &str) -> VenueError {
    VenueError { code: cut(code), class, reason, text: cut(text) }
}

/// Classifies a REST error by its code, and by the HTTP status only where the code says nothing.
pub(crate) fn rest(status: u16, code: &str, text: &str) -> VenueError {
    let verdict = find(REST, code).unwrap_or(match status {
        429 => (Retry, Why::RateLimit),
        500.. => (OutcomeUnknown, Why::System),
        _ => (OutcomeUnknown, Why::Other),
    });
    error(verdict, code, text)
}

/// Classifies an error frame of a stream.
pub(crate) fn stream(code: &str, text: &str) -> VenueError {
    let verdict = find(STREAM, code).or_else(|| find(REST, code)).unwrap_or((Retry, Why::Other));
    error(verdict, code, text)
}

/// The same error as the answer to a question: what may have happened is nothing, so it can be asked again.
pub(crate) fn for_question(mut error: VenueError) -> VenueError {
    if error.class == OutcomeUnknown {
        error.class = Retry;
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_code_is_classified_twice() {
        for table in [REST, STREAM] {
            let mut seen = HashSet::new();
            for code in table.iter().flat_map(|(codes, ..)| codes.iter()) {
                assert!(seen.insert(code), "{code}");
            }
        }
    }

    /// Section 7 of the sheet, row by row: codes, and the only classes that row may have.
    const SHEET: &[(&str, &[VenueErrorClass])] = &[
        ("40001 40002 40003 40011 40005 40006 40037 40041 40007 40009 40012 40036", &[Fatal]),
        ("40008 40004 40078 40079 429", &[Retry]),
        ("40013 40022 40023 40024 40025 40026 40031 40014 40040 40018 40038", &[Fatal]),
        ("40016 40035 40100 40101 40111 40000 40103 40104 40084 40085 40099 40301 22010", &[Fatal]),
        ("40010 40910 40015 40725 45001 50031 40200", &[OutcomeUnknown]),
        ("40017 40019 40020 40034 40808 400171 400172 41101 41103 43011 43111 48001 48002", &[Refused]),
        ("40072 40102 42016 50024 40304 40305 40306 40912 40404", &[Refused]),
        ("40109 40768 43001 45057 80011 40819 43025 43020 31007 22001", &[OutcomeUnknown]),
        ("43002 43003", &[Refused]),
        ("45055 45056 45129", &[OutcomeUnknown]),
        ("40786 40708 43118 45034 50060 25212", &[OutcomeUnknown]),
        ("43012 40754 45002 50020 40762 40711 40712 40798 40800 25202 25203", &[Refused]),
        ("43006 43010 43027 43037 43042 45110 45111 45114 43007 43038 43041 45112 45113", &[Refused]),
        ("43008 43009 43028 43039 43040 45035 45115 40815 40816", &[Refused]),
        ("22002 40757 43029 45003 45006 40774 45021 45109 40920 45117 45097", &[Refused]),
        ("40308 40844 41113 41114 43115 43119 45043 50027 40309 40845 50028 22067 40931", &[Refused]),
        ("43005 43128 40723 40761 45118 40889 30032", &[Refused]),
        ("30014 50009", &[Retry]),
    ];

    #[test]
    fn every_code_of_the_sheet_has_its_class_and_a_reason() {
        let mut count = 0;
        for (codes, classes) in SHEET {
            for code in codes.split(' ') {
                let error = rest(400, code, "text");
                assert!(classes.contains(&error.class), "{code}: {:?}", error.class);
                assert_eq!(error.code.as_str(), code);
                count += 1;
            }
        }
        assert_eq!(count, REST.iter().map(|(codes, ..)| codes.len()).sum::<usize>(), "the table has no other codes");
    }

    #[test]
    fn an_unknown_code_proves_nothing() {
        for (status, code) in [(200, "99999"), (400, "49999"), (503, ""), (200, "not a number"), (400, "00000")] {
            assert_eq!(rest(status, code, "").class, OutcomeUnknown, "{status} {code}");
        }
        assert_eq!(rest(429, "", "").class, Retry);
        assert_eq!(for_question(rest(400, "99999", "")).class, Retry);
        assert_eq!(for_question(rest(400, "40009", "")).class, Fatal);
    }

    #[test]
    fn a_duplicate_client_id_is_no_rejection() {
        for code in ["40786", "43118", "45034", "40708", "50060"] {
            let error = rest(400, code, "Duplicate clientOid");
            assert_eq!((error.class, error.reason), (OutcomeUnknown, Why::DuplicateClientId));
        }
    }

    #[test]
    fn stream_codes_are_classified_whatever_their_meaning_in_rest() {
        assert_eq!(stream("30014", "").reason, Why::Clock);
        assert_eq!(rest(200, "30014", "").reason, Why::RateLimit);
        assert_eq!(stream("30012", "").class, Fatal);
        for code in ["30001", "30002", "30003", "30004", "30006", "30007", "30016", "30033"] {
            assert_ne!(stream(code, "").class, Fatal, "{code}");
        }
    }
}
