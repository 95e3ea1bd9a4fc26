//! Every path of the venue, one table for each part of its interface.

use crate::auth::Need;
use crate::call::{Access, Route};
use crate::{Permission, users, v2, v3};

const fn private(unified: bool, any_of: &'static [Permission]) -> Access {
    Access::Private(Need { unified, any_of })
}

/// v2, reading; a unified account is refused.
pub(crate) const READ: Access = private(false, &[Permission::Read]);
/// v2, placing and cancelling.
pub(crate) const TRADE: Access = private(false, &[Permission::Trade]);
/// v2, moving coins between wallets.
pub(crate) const TRANSFER: Access = private(false, &[Permission::Transfer]);
/// v2 futures, reading.
pub(crate) const MIX_READ: Access = private(false, &[Permission::FuturesRead]);
/// v2 futures, placing and cancelling.
pub(crate) const MIX_TRADE: Access = private(false, &[Permission::FuturesTrade]);
/// v3, reading; a classic account is refused.
pub(crate) const UNIFIED_READ: Access = private(true, &[Permission::Read, Permission::FuturesRead]);
/// v3, placing and cancelling; which of the two rights is needed depends on the category.
pub(crate) const UNIFIED_TRADE: Access = private(true, &[Permission::Trade, Permission::FuturesTrade]);

/// All tables; a path stands in one of them once for each method.
const TABLES: [&[Route]; 4] = [v2::ROUTES, v2::MIX_ROUTES, v3::ROUTES, users::ROUTES];

/// The route of a method and path.
pub(crate) fn find(method: &str, path: &str) -> Option<&'static Route> {
    TABLES.iter().flat_map(|table| table.iter()).find(|route| route.method == method && route.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_is_listed_twice() {
        let all: Vec<(&str, &str)> =
            TABLES.iter().flat_map(|table| table.iter()).map(|route| (route.method, route.path)).collect();
        for (position, one) in all.iter().enumerate() {
            assert!(!all[position + 1..].contains(one), "{one:?}");
        }
    }
}
