//! Every route, as data. What is not in [`ROUTES`] does not exist.

use crate::backend::ActVerb;

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

/// Who may use a route. All are reachable on loopback only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody on this machine.
    Open,
    /// A holder of the token.
    Token,
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
    /// Who may use it.
    pub access: Access,
    /// What it does.
    pub action: Action,
}

const fn open(path: &'static str, action: Action) -> Route {
    Route { method: Method::Get, path, access: Access::Open, action }
}

const fn read(path: &'static str, action: Action) -> Route {
    Route { method: Method::Get, path, access: Access::Token, action }
}

const fn act(path: &'static str, verb: ActVerb) -> Route {
    Route { method: Method::Post, path, access: Access::Token, action: Action::Act(verb) }
}

/// Every route.
pub static ROUTES: &[Route] = &[
    open("/", Action::File(&crate::page::INDEX)),
    open("/page.js", Action::File(&crate::page::SCRIPT)),
    open("/page.css", Action::File(&crate::page::STYLE)),
    open("/icon.svg", Action::File(&crate::page::ICON)),
    open("/metrics", Action::Metrics),
    open("/-/healthy", Action::Healthy),
    open("/-/ready", Action::Ready),
    read("/api/v1/status", Action::Status),
    read("/api/v1/orders", Action::Orders),
    read("/api/v1/fills", Action::Fills),
    read("/api/v1/positions", Action::Positions),
    read("/api/v1/balances", Action::Balances),
    read("/api/v1/equity", Action::Equity),
    read("/api/v1/book", Action::Book),
    read("/api/v1/stream", Action::Stream),
    act("/api/v1/pause", ActVerb::Pause),
    act("/api/v1/resume", ActVerb::Resume),
    act("/api/v1/halt", ActVerb::Halt),
    act("/api/v1/unhalt", ActVerb::Unhalt),
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

/// Whether a path needs the token, whatever is or is not behind it.
pub(crate) fn needs_token(path: &str, found: Found) -> bool {
    match found {
        Found::Route(route) | Found::OtherMethod(route) => route.access == Access::Token,
        Found::Nothing => path == "/api" || path.starts_with("/api/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_under_api_needs_the_token_and_no_other_does() {
        for route in ROUTES {
            assert_eq!(route.access == Access::Token, route.path.starts_with("/api/"), "{}", route.path);
        }
        assert!(needs_token("/api/v1/no-such-thing", Found::Nothing), "what is absent is not told to strangers");
    }

    #[test]
    fn acts_are_posts_and_nothing_else_is() {
        for route in ROUTES {
            assert_eq!(matches!(route.action, Action::Act(_)), route.method == Method::Post, "{}", route.path);
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
