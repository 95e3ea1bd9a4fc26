//! Every route, as data. What is not in [`ROUTES`] does not exist.

use crate::backend::ActVerb;
use access::Scope::{
    self, Admin, AuditRead, KeysLink, KeysRevoke, KeysRotate, LimitsTighten, PolicyWrite, Read, TradePause, TradeResume,
};

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
    /// The exchange keys.
    Keys,
    /// What happened to each exchange key.
    KeysAudit,
    /// The key to which the values of a new exchange key are sealed.
    SealingKey,
    /// Links an exchange key.
    KeyAdd,
    /// Verifies an exchange key.
    KeyTest,
    /// Takes an exchange key's trust away.
    KeyDisable,
    /// Gives it back.
    KeyEnable,
    /// Puts another exchange key in the place of one.
    KeyRotate,
    /// Wipes an exchange key.
    KeyRevoke,
    /// Lets an exchange key sign less.
    PolicyTighten,
    /// Lets an exchange key sign more.
    PolicyLoosen,
}

impl Action {
    /// Whether it is a wish about an exchange key.
    #[must_use]
    pub const fn is_key_wish(self) -> bool {
        matches!(
            self,
            Self::KeyAdd
                | Self::KeyTest
                | Self::KeyDisable
                | Self::KeyEnable
                | Self::KeyRotate
                | Self::KeyRevoke
                | Self::PolicyTighten
                | Self::PolicyLoosen
        )
    }
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
    read("/api/v1/keys", Read, Action::Keys),
    change("/api/v1/keys", KeysLink, Risk::Raises, Action::KeyAdd),
    read("/api/v1/keys/audit", AuditRead, Action::KeysAudit),
    read("/api/v1/keys/sealing-key", KeysLink, Action::SealingKey),
    change("/api/v1/keys/test", KeysRevoke, Risk::Lowers, Action::KeyTest),
    change("/api/v1/keys/disable", KeysRevoke, Risk::Lowers, Action::KeyDisable),
    change("/api/v1/keys/enable", KeysRotate, Risk::Raises, Action::KeyEnable),
    change("/api/v1/keys/rotate", KeysRotate, Risk::Raises, Action::KeyRotate),
    change("/api/v1/keys/revoke", KeysRevoke, Risk::Lowers, Action::KeyRevoke),
    change("/api/v1/keys/policy/tighten", LimitsTighten, Risk::Lowers, Action::PolicyTighten),
    change("/api/v1/keys/policy/loosen", PolicyWrite, Risk::Raises, Action::PolicyLoosen),
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
    let mut here = ROUTES.iter().filter(|route| route.path == path);
    match (here.clone().find(|route| route.method.as_str() == method), here.next()) {
        (Some(route), _) => Found::Route(route),
        (None, Some(route)) => Found::OtherMethod(route),
        (None, None) => Found::Nothing,
    }
}

/// The methods that a path takes, as `Allow` names them.
pub(crate) fn methods(path: &str) -> String {
    let methods: Vec<_> = ROUTES.iter().filter(|route| route.path == path).map(|route| route.method.as_str()).collect();
    methods.join(", ")
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
            ("/api/v1/keys", Some("keys.link")),
            ("/api/v1/keys/test", Some("keys.revoke")),
            ("/api/v1/keys/disable", Some("keys.revoke")),
            ("/api/v1/keys/enable", Some("keys.rotate")),
            ("/api/v1/keys/rotate", Some("keys.rotate")),
            ("/api/v1/keys/revoke", Some("keys.revoke")),
            ("/api/v1/keys/policy/tighten", Some("limits.tighten")),
            ("/api/v1/keys/policy/loosen", Some("policy.write")),
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
            let changes = matches!(route.action, Action::Act(_) | Action::AccessAdd | Action::AccessRevoke)
                || route.action.is_key_wish();
            assert_eq!(changes, route.method == Method::Post, "{}", route.path);
            assert_eq!(changes, route.risk != Risk::Same, "{}", route.path);
        }
    }

    #[test]
    fn what_widens_what_can_be_lost_needs_a_code_and_what_stops_trading_does_not() {
        let needing: Vec<_> = ROUTES.iter().filter(|route| route.step_up()).map(|route| route.path).collect();
        let expected = [
            "/api/v1/unhalt",
            "/api/v1/access/add",
            "/api/v1/keys",
            "/api/v1/keys/enable",
            "/api/v1/keys/rotate",
            "/api/v1/keys/policy/loosen",
        ];
        assert_eq!(needing, expected);
    }

    #[test]
    fn no_role_but_admin_can_raise_a_risk() {
        for route in ROUTES.iter().filter(|route| route.risk == Risk::Raises) {
            let scope = route.scope.unwrap();
            assert!(!access::Role::Viewer.scopes().contains(scope) && !access::Role::Operator.scopes().contains(scope));
        }
    }

    #[test]
    fn each_path_stands_once_with_each_method() {
        let paths: std::collections::BTreeSet<_> =
            ROUTES.iter().map(|route| (route.path, route.method.as_str())).collect();
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
