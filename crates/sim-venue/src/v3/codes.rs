//! Error codes of v3: a set of their own for what concerns orders and parameters.

use crate::reject::Reject;

/// The code that v3 has for a refusal of v2; what concerns keys and accounts is the same in both.
const CODES: [(&[&str], &str, &str); 12] = [
    (&["43012", "40762", "40754"], "25202", "Insufficient balance"),
    (&["45002", "40711", "40712"], "25203", "Insufficient margin"),
    (&["43001", "40109", "40768"], "25204", "Order does not exist"),
    (&["40786", "43118"], "25212", "Duplicate clientOid"),
    (&["43005", "43128"], "25211", "Exceeds the maximum number of open orders"),
    (&["40034"], "25100", ""),
    (&["45110", "45111"], "25611", ""),
    (&["45113", "45112"], "25208", ""),
    (&["43008", "43009", "40815", "40816"], "25205", ""),
    (&["22002", "40757", "43029"], "25227", "No position to close"),
    (&["40808", "45115"], "25244", ""),
    (&["40017", "40019", "40020", "400171", "400172", "40304", "40305", "40306", "40774"], "25200", ""),
];

/// A refusal in v3's code; words of its own where clients know them, otherwise those of v2.
pub(crate) fn unified(reject: Reject) -> Reject {
    let found = CODES.iter().find(|(codes, _, _)| codes.contains(&reject.code));
    match found {
        // One code of v2 is two of v3: the price's step and the quantity's.
        Some(_) if reject.code == "40808" && !reject.message.contains("price") => Reject { code: "25610", ..reject },
        Some((_, code, "")) => Reject { code, ..reject },
        Some((_, code, words)) => Reject { code, message: (*words).to_owned(), ..reject },
        None => reject,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_orders_has_a_code_of_v3_and_what_concerns_keys_has_not() {
        assert_eq!(unified(Reject::new("43012", "x")).code, "25202");
        assert_eq!(unified(Reject::no_such_order()).code, "25204");
        assert_eq!(unified(Reject::unknown_symbol("NOPE")).message, "Parameter NOPE does not exist");
        assert_eq!(unified(Reject::too_precise("price", "1.23", 1)).code, "25244");
        assert_eq!(unified(Reject::too_precise("qty", "1.23", 1)).code, "25610");
        assert_eq!(unified(Reject::new("40009", "sign signature error")).code, "40009");
        let mut all: Vec<&str> = CODES.iter().flat_map(|(codes, _, _)| codes.iter()).copied().collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count, "each code of v2 has one in v3");
    }
}
