//! The v3 dialect of unified accounts: its paths and the budget of each.

use crate::call::Access::Public;
use crate::call::{Route, get};
use crate::routes::UNIFIED_READ;
use crate::{private, public};

/// Every path of v3, with the documented budget per second.
pub(crate) const ROUTES: &[Route] = &[
    get("/api/v3/market/instruments", 20, Public, public::nothing),
    get("/api/v3/account/settings", 20, UNIFIED_READ, private::unified_settings),
    get("/api/v3/account/info", 5, UNIFIED_READ, private::unified_info),
    get("/api/v3/account/assets", 20, UNIFIED_READ, private::unified_assets),
];
