//! Every route, as data. What is not in [`ROUTES`] does not exist.

use crate::backend::ActVerb;
use access::Scope::{self, Admin, Read, TradePause, TradeResume};

/// The HTTP methods that exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads; changes nothing.
    Get,
    /// Changes something.
    Post,
}

impl Method {
    /// The method's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// In which direction a route moves what can be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Risk {
    /// It changes nothing.
    Same,
    /// Down, or back to what was allowed before: never kept waiting, never needs a one-time code.
    Lowers,
    /// Up: needs a fresh one-time code once codes are set up.
    Raises,
}

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// One file of the live page.
    File(&'static PageFile),
    /// The scrape.
    Metrics,
    /// Whether the process answers.
    Healthy,
    /// Whether orders may be sent.
    Ready,
    /// The program's status.
    Status,
    /// Orders, paged.
    Orders,
    /// Fills, paged.
    Fills,
    /// Positions.
    Positions,
    /// Balances.
    Balances,
    /// The equity curve.
    Equity,
    /// The top of the books.
    Book,
    /// The live stream.
    Stream,
    /// An operator's act.
    Act(ActVerb),
    /// The API keys, without their secrets.
    AccessList,
    /// Makes an API key.
    AccessAdd,
    /// Revokes an API key.
    AccessRevoke,
}

/// One file of the live page.
#[derive(Debug, PartialEq, Eq)]
pub struct PageFile {
    /// The media type.
    pub(crate) media_type: &'static str,
    /// The content.
    pub(crate) text: &'static str,
}

/// One route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path; also its label in the metrics.
    pub path: &'static str,
    /// The scope that it needs; none: open to anybody who reaches the server under one of its names.
    pub scope: Option<Scope>,
    /// Whether callers on this machine need no credentials for it.
    pub free_here: bool,
    /// In which direction it moves what can be lost.
    pub risk: Risk,
    /// What it does.
    pub action: Action,
}

impl Route {
    /// The scope that a caller needs who is on this machine or is not.
    #[must_use]
    pub const fn needs(&self, here: bool) -> Option<Scope> {
        if here && self.free_here { None } else { self.scope }
    }

    /// Whether it needs a fresh one-time code, once codes are set up.
    #[must_use]
    pub const fn step_up(&self) -> bool {
        matches!(self.risk, Risk::Raises)
    }
}

const fn open(path: &'static str, action: Action) -> Route {
    Route { method: Method::Get, path, scope: None, free_here: false, risk: Risk::Same, action }
}

const fn watch(path: &'static str, action: Action) -> Route {
    Route { method: Method::Get, path, scope: Some(Read), free_here: true, risk: Risk::Same, action }
}

const fn read(path: &'static str, scope: Scope, action: Action) -> Route {
    Route { method: Method::Get, path, scope: Some(scope), free_here: false, risk: Risk::Same, action }
}

const fn change(path: &'static str, scope: Scope, risk: Risk, action: Action) -> Route {
    Route { method: Method::Post, path, scope: Some(scope), free_here: false, risk, action }
}

/// Every route, with what it needs: the authorisation table.
pub static ROUTES: &[Route] = &[
    open("/", Action::File(&crate::page::INDEX)),
    open("/page.js", Action::File(&crate::page::SCRIPT)),
    open("/page.css", Action::File(&crate::page::STYLE)),
    open("/icon.svg", Action::File(&crate::page::ICON)),
    watch("/metrics", Action::Metrics),
    open("/-/healthy", Action::Healthy),
    watch("/-/ready", Action::Ready),
    read("/api/v1/status", Read, Action::Status),
    read("/api/v1/orders", Read, Action::Orders),
    read("/api/v1/fills", Read, Action::Fills),
    read("/api/v1/positions", Read, Action::Positions),
    read("/api/v1/balances", Read, Action::Balances),
    read("/api/v1/equity", Read, Action::Equity),
    read("/api/v1/book", Read, Action::Book),
    read("/api/v1/stream", Read, Action::Stream),
    change("/api/v1/pause", TradePause, Risk::Lowers, Action::Act(ActVerb::Pause)),
    change("/api/v1/resume", TradePause, Risk::Lowers, Action::Act(ActVerb::Resume)),
    change("/api/v1/halt", TradePause, Risk::Lowers, Action::Act(ActVerb::Halt)),
    change("/api/v1/unhalt", TradeResume, Risk::Raises, Action::Act(ActVerb::Unhalt)),
    read("/api/v1/access", Admin, Action::AccessList),
    change("/api/v1/access/add", Admin, Risk::Raises, Action::AccessAdd),
    change("/api/v1/access/revoke", Admin, Risk::Lowers, Action::AccessRevoke),
];

/// What is known about a method and path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A route.
    Route(&'static Route),
    /// The path exists, under this other method.
    OtherMethod(&'static Route),
    /// No such path.
    Nothing,
}

/// Looks up a method and path.
pub(crate) fn find(method: &str, path: &str) -> Found {
    match ROUTES.iter().find(|route| route.path == path) {
        Some(route) if route.method.as_str() == method => Found::Route(route),
        Some(route) => Found::OtherMethod(route),
        None => Found::Nothing,
    }
}

/// Whether a path needs credentials, whatever is or is not behind it.
pub(crate) fn needs_credentials(path: &str, found: Found, here: bool) -> bool {
    match found {
        Found::Route(route) | Found::OtherMethod(route) => route.needs(here).is_some(),
        Found::Nothing => path == "/api" || path.starts_with("/api/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_under_api_needs_a_scope_and_no_other_does() {
        for route in ROUTES {
            assert_eq!(route.needs(true).is_some(), route.path.starts_with("/api/"), "{}", route.path);
        }
        assert!(
            needs_credentials("/api/v1/no-such-thing", Found::Nothing, true),
            "what is absent is not told to strangers"
        );
    }

    #[test]
    fn what_changes_something_needs_the_scope_that_the_roles_are_made_of() {
        let posts: Vec<_> = ROUTES
            .iter()
            .filter(|route| route.method == Method::Post)
            .map(|route| (route.path, route.scope.map(Scope::as_str)))
            .collect();
        let expected = [
            ("/api/v1/pause", Some("trade.pause")),
            ("/api/v1/resume", Some("trade.pause")),
            ("/api/v1/halt", Some("trade.pause")),
            ("/api/v1/unhalt", Some("trade.resume")),
            ("/api/v1/access/add", Some("admin")),
            ("/api/v1/access/revoke", Some("admin")),
        ];
        assert_eq!(posts, expected);
    }

    #[test]
    fn other_machines_see_the_page_and_that_the_process_lives_and_nothing_else_without_credentials() {
        let open: Vec<_> = ROUTES.iter().filter(|route| route.needs(false).is_none()).map(|route| route.path).collect();
        assert_eq!(open, ["/", "/page.js", "/page.css", "/icon.svg", "/-/healthy"]);
    }

    #[test]
    fn what_changes_something_is_a_post_and_nothing_else_is() {
        for route in ROUTES {
            let changes = matches!(route.action, Action::Act(_) | Action::AccessAdd | Action::AccessRevoke);
            assert_eq!(changes, route.method == Method::Post, "{}", route.path);
            assert_eq!(changes, route.risk != Risk::Same, "{}", route.path);
        }
    }

    #[test]
    fn unhalt_and_new_api_keys_need_a_code_and_what_stops_trading_does_not() {
        let needing: Vec<_> = ROUTES.iter().filter(|route| route.step_up()).map(|route| route.path).collect();
        assert_eq!(needing, ["/api/v1/unhalt", "/api/v1/access/add"]);
    }

    #[test]
    fn no_role_but_admin_can_raise_a_risk() {
        for route in ROUTES.iter().filter(|route| route.risk == Risk::Raises) {
            let scope = route.scope.unwrap();
            assert!(!access::Role::Viewer.scopes().contains(scope) && !access::Role::Operator.scopes().contains(scope));
        }
    }

    #[test]
    fn each_path_stands_once() {
        let paths: std::collections::BTreeSet<_> = ROUTES.iter().map(|route| route.path).collect();
        assert_eq!(paths.len(), ROUTES.len());
    }

    #[test]
    fn near_misses_of_a_path_are_no_route() {
        for path in ["/api/v1/halt/", "/API/v1/halt", "//api/v1/halt", "/api/v1/%68alt", "/metrics/", ""] {
            assert_eq!(find("POST", path), Found::Nothing, "{path}");
        }
        assert!(matches!(find("GET", "/api/v1/halt"), Found::OtherMethod(_)));
        assert!(matches!(find("HEAD", "/metrics"), Found::OtherMethod(_)));
    }
}
