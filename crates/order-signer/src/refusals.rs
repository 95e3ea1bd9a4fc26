//! Why signers have refused, by rule, for whoever watches them.

use crate::inline::{InlineSigner, SignerTally};
use domain::VenueId;
use serde::{Deserialize, Serialize};
use sign_policy::{PolicyRefusal, PolicyTally};

/// Rules of the signer itself; those of the policy follow them.
const OWN: [&str; 4] = ["key_state", "venue_time", "client_id", "request"];

/// How often the signer of a venue account has refused by each rule, since it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// The venue account.
    pub seat: VenueId,
    /// In the order of [`Refusals::rules`].
    pub counts: Vec<u64>,
}

impl Refusals {
    /// The names of the rules, a closed set: what the key's state does not allow, a venue time that is not accepted, an
    /// id that is not of this run or was used, a request that cannot be written or is not what was asked for, then the
    /// rules of the policy.
    pub fn rules() -> impl Iterator<Item = &'static str> {
        OWN.into_iter().chain(PolicyRefusal::ALL.into_iter().map(PolicyRefusal::as_str))
    }

    pub(crate) fn of(seat: VenueId, signer: &mut InlineSigner) -> Self {
        let SignerTally { refused_duty, refused_clock, refused_id, refused_request, .. } = signer.handle().tally();
        let policy = signer.bounds().map_or_else(PolicyTally::default, |bounds| bounds.tally());
        let mut counts = vec![refused_duty, refused_clock, refused_id, refused_request];
        counts.extend(policy.iter().map(|(_, count)| count));
        Self { seat, counts }
    }
}
