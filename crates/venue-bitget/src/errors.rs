//! The venue's error codes: what each means for what comes next.
//!
//! The codes themselves are data, in `error_table.rs`. Invariant: a code that is not in the table never proves that
//! nothing happened.

use crate::error_table::{ErrorCode, REST, STREAM};
use crate::loose::cut;
use messages::VenueErrorClass::{self, OutcomeUnknown, Retry};
use messages::VenueReason as Why;
use messages::{AccountMode, VenueError, VenueReason};

/// The code of every success.
pub(crate) const SUCCESS: &str = "00000";

/// The code with which the venue announces that it will close its streams.
pub(crate) const CLOSING_SOON: &str = "30033";

/// Stream codes that answer a log-in.
pub(crate) const LOGIN_CODES: [&str; 7] = ["30002", "30005", "30011", "30012", "30013", "30014", "30015"];

/// Codes of REST answers, in ascending order; those from 25000 on come on v3 streams too.
#[must_use]
pub const fn error_codes() -> &'static [ErrorCode] {
    REST
}

/// What to say to a person about a code; `None`: it is not in the venue's documents.
#[must_use]
pub fn explain(code: &str) -> Option<&'static str> {
    find(REST, code).or_else(|| find(STREAM, code)).map(|row| row.says)
}

/// The mode that the account has, if this error says that it is another one than was asked for.
#[must_use]
pub fn account_mode_said_by(error: &VenueError) -> Option<AccountMode> {
    match error.code.as_str() {
        "40084" | "25245" => Some(AccountMode::Classic),
        "40085" => Some(AccountMode::Unified),
        _ => None,
    }
}

fn find(table: &'static [ErrorCode], code: &str) -> Option<&'static ErrorCode> {
    let number: u32 = code.parse().ok()?;
    table.binary_search_by_key(&number, |row| row.code).ok().and_then(|at| table.get(at))
}

fn error((class, reason): (VenueErrorClass, VenueReason), code: &str, text: &str) -> VenueError {
    VenueError { code: cut(code), class, reason, text: cut(text) }
}

/// Classifies a REST error by its code, and by the HTTP status only where the code says nothing.
pub(crate) fn rest(status: u16, code: &str, text: &str) -> VenueError {
    let verdict = match (find(REST, code), status) {
        (Some(row), _) => (row.class, row.reason),
        (None, 429) => (Retry, Why::RateLimit),
        (None, 500..) => (OutcomeUnknown, Why::System),
        (None, _) => (OutcomeUnknown, Why::Other),
    };
    error(verdict, code, text)
}

/// Classifies an error frame of a stream.
pub(crate) fn stream(code: &str, text: &str) -> VenueError {
    let row = find(STREAM, code).or_else(|| find(REST, code));
    error(row.map_or((Retry, Why::Other), |row| (row.class, row.reason)), code, text)
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
    use VenueErrorClass::{Fatal, Refused};

    #[test]
    fn codes_are_in_order_so_that_none_is_classified_twice_and_each_is_found() {
        for table in [REST, STREAM] {
            assert!(table.is_sorted_by_key(|row| row.code));
            assert!(table.windows(2).all(|pair| pair[0].code < pair[1].code));
            for row in table {
                assert_eq!(find(table, &row.code.to_string()), Some(row));
                assert!(!row.says.is_empty() && !row.says.ends_with('.'), "{}", row.code);
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
        // The unified account's own codes.
        ("25004 25572", &[Retry]),
        ("25000 25001 25003 25204 25224 25239 24056", &[OutcomeUnknown]),
        ("25005 25006 25007 25008 25011 25012 25245 25620", &[Fatal]),
        ("25002 25009 25010 25013 25100 25101 25102 25104 25105 25107 25108 25110 25200 25201", &[Refused]),
        ("25205 25206 25207 25208 25209 25210 25211 25213 25214 25215 25216 25217 25218 25219", &[Refused]),
        ("25220 25221 25222 25223 25225 25226 25227 25228 25229 25230 25231 25232 25233 25234", &[Refused]),
        ("25235 25236 25237 25238 25240 25241 25242 25243 25244 25610 25611 25612 25622 25654 25655", &[Refused]),
    ];

    #[test]
    fn every_code_of_the_sheet_has_its_class_and_a_sentence() {
        for (codes, classes) in SHEET {
            for code in codes.split(' ') {
                let error = rest(400, code, "text");
                assert!(classes.contains(&error.class), "{code}: {:?}", error.class);
                assert_eq!(error.code.as_str(), code);
                assert!(find(REST, code).is_some() && explain(code).is_some(), "{code}");
            }
        }
        let listed: Vec<&str> = SHEET.iter().flat_map(|(codes, _)| codes.split(' ')).collect();
        let others = REST.iter().filter(|row| !listed.contains(&row.code.to_string().as_str()));
        // What is left belongs to loans, strategies and protective orders, which the bot does not place.
        assert!(others.into_iter().all(|row| row.code / 100 == 255 || row.code / 100 == 256), "a code without a row");
    }

    #[test]
    fn an_unknown_code_proves_nothing() {
        for (status, code) in [(200, "99999"), (400, "49999"), (503, ""), (200, "not a number"), (400, "00000")] {
            assert_eq!(rest(status, code, "").class, OutcomeUnknown, "{status} {code}");
        }
        assert_eq!(rest(429, "", "").class, Retry);
        assert_eq!(for_question(rest(400, "99999", "")).class, Retry);
        assert_eq!(for_question(rest(400, "40009", "")).class, Fatal);
        assert_eq!(explain("99999"), None);
    }

    #[test]
    fn a_duplicate_client_id_is_no_rejection() {
        for code in ["40786", "43118", "45034", "40708", "50060", "25212"] {
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

    #[test]
    fn an_answer_of_the_other_interface_says_which_mode_the_account_has() {
        assert_eq!(
            account_mode_said_by(&rest(400, "40084", "You are in Classic Account mode")),
            Some(AccountMode::Classic)
        );
        assert_eq!(
            account_mode_said_by(&rest(400, "40085", "You are in Unified Account mode")),
            Some(AccountMode::Unified)
        );
        for other in ["40009", "40037", "429", "", "25000"] {
            assert_eq!(account_mode_said_by(&rest(400, other, "")), None, "{other}");
        }
    }
}
