//! What a request must satisfy before its route is looked at; pure.
//!
//! The order is fixed: host, size of the head, credentials, origin. Each failure is a problem document that repeats nothing
//! of what the client sent.

use crate::limits::HEADER_BYTES_MAX;
use crate::problem::Problem;
use crate::routes::Method;
use actix_web::http::Uri;
use actix_web::http::header::{self, HeaderMap};
use std::net::SocketAddr;

/// The names under which this server may be addressed, each with its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hosts {
    /// With the port, or without one where browsers leave it out.
    names: Vec<String>,
    /// Those of them that were named in the settings: a TLS proxy on this machine may stand before them.
    listed: Vec<String>,
    tls: bool,
}

/// How a connection came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Over TCP.
    Tcp,
    /// Over the Unix socket, which has no port: `localhost` alone is a name of ours there.
    Socket,
}

impl Hosts {
    /// The names of a server that listens on this address: those of loopback if it is one, and the listed ones, each
    /// `NAME` or `NAME:PORT`.
    pub(crate) fn new(listening: SocketAddr, listed: &[String], tls: bool) -> Self {
        let (port, usual) = (listening.port(), if tls { 443 } else { 80 });
        let with_port = |name: &str| {
            let bare = (port == usual).then(|| name.to_owned());
            [Some(format!("{name}:{port}")), bare].into_iter().flatten().collect::<Vec<_>>()
        };
        let listed: Vec<String> = listed
            .iter()
            .flat_map(|entry| match port_of(entry) {
                // Browsers leave the port of https out; a proxy on this machine passes the name on as it is.
                Some((name, 443)) => vec![entry.clone(), name.to_owned()],
                Some(_) => vec![entry.clone()],
                None => with_port(entry),
            })
            .collect();
        let mut names = listed.clone();
        if listening.ip().is_loopback() {
            let own = match listening {
                SocketAddr::V4(address) => address.ip().to_string(),
                SocketAddr::V6(address) => format!("[{}]", address.ip()),
            };
            for name in ["localhost", "127.0.0.1", "[::1]", &own] {
                names.extend(with_port(name));
            }
        }
        Self { names, listed, tls }
    }

    fn contains(&self, host: &str, way: Way) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(host))
            || (way == Way::Socket && host.eq_ignore_ascii_case("localhost"))
    }

    /// Whether this is a name of the settings.
    pub(crate) fn is_listed(&self, host: &[u8]) -> bool {
        self.listed.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(host))
    }

    /// Whether a page of this origin is our own, when it was asked for under `host`.
    fn is_own_origin(&self, origin: &[u8], host: &[u8]) -> bool {
        let of = |scheme: &[u8]| origin.strip_prefix(scheme).is_some_and(|rest| rest.eq_ignore_ascii_case(host));
        let listed = self.is_listed(host);
        if self.tls { of(b"https://") } else { of(b"http://") || (listed && of(b"https://")) }
    }

    /// Exactly one `Host`, and it is ours; so is the authority of an absolute address.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap, way: Way) -> Result<(), Problem> {
        let mut given = headers.get_all(header::HOST);
        let (Some(host), None) = (given.next(), given.next()) else {
            return Err(Problem::new(400, "host_missing", "bad request", "exactly one Host header is needed"));
        };
        let ours = host.to_str().is_ok_and(|host| self.contains(host, way))
            && uri.authority().is_none_or(|authority| self.contains(authority.as_str(), way));
        if ours {
            Ok(())
        } else {
            Err(Problem::new(
                421,
                "wrong_host",
                "misdirected request",
                "this server answers only under the names and ports of its settings",
            ))
        }
    }
}

/// Over the Unix socket only the daemon's own user, and root, are heard, whatever the modes of its directories say.
pub(crate) fn check_user(peer: Option<u32>, own: u32) -> Result<(), Problem> {
    if peer.is_some_and(|user| user == own || user == 0) {
        Ok(())
    } else {
        telemetry::auth_failures_total("socket_user").increment(1);
        Err(Problem::new(403, "wrong_user", "forbidden", "this socket answers only to the daemon's own user"))
    }
}

/// The name and port of `NAME:PORT`; `None` for a name alone, an IPv6 address in brackets included.
fn port_of(entry: &str) -> Option<(&str, u16)> {
    let (name, port) = entry.rsplit_once(':')?;
    port.parse().ok().filter(|_| !name.is_empty() && !name.ends_with(':')).map(|port| (name, port))
}

/// The head of a request is not too large.
pub(crate) fn check_head(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    let bytes = headers.iter().fold(target, |sum, (name, value)| sum + name.as_str().len() + value.len());
    if bytes <= HEADER_BYTES_MAX {
        Ok(())
    } else {
        Err(Problem::new(431, "headers_too_large", "request header fields too large", "at most 8 KiB are read"))
    }
}

/// What was presented as credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    /// Nothing.
    Nothing,
    /// This, right or wrong.
    Bearer(&'a [u8]),
}

/// The protocol name that a stream speaks; a browser sends its token beside it as `token.` and the digits, because it
/// can set no header on a WebSocket.
pub(crate) const STREAM_PROTOCOL: &str = "steadfast.v1";

/// What the request presents. `stream`: it may also stand among the WebSocket protocols.
pub(crate) fn presented(headers: &HeaderMap, stream: bool) -> Presented<'_> {
    let bearer = headers.get(header::AUTHORIZATION).map(|value| {
        let value = value.as_bytes();
        match value.split_at_checked(7) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest,
            _ => b"",
        }
    });
    let offered = || {
        let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
        protocols.flat_map(|list| list.split(',')).find_map(|one| one.trim().strip_prefix("token.")).map(str::as_bytes)
    };
    bearer.or_else(|| if stream { offered() } else { None }).map_or(Presented::Nothing, Presented::Bearer)
}

/// A request to the API that a browser makes comes from our own page. Programs send neither header.
pub(crate) fn check_origin(hosts: &Hosts, headers: &HeaderMap, method: Method) -> Result<(), Problem> {
    let refused = || {
        Err(Problem::new(403, "cross_origin", "request from another site", "only the page of this server may call it"))
    };
    let host = headers.get(header::HOST).map(header::HeaderValue::as_bytes).unwrap_or_default();
    for origin in headers.get_all(header::ORIGIN) {
        if !hosts.is_own_origin(origin.as_bytes(), host) {
            return refused();
        }
    }
    for site in headers.get_all("sec-fetch-site") {
        // `none`: a person typed the address; that reads, it never changes anything.
        let fine = site == "same-origin" || (site == "none" && method == Method::Get);
        if !fine {
            return refused();
        }
    }
    Ok(())
}

/// What changes something is JSON, which no form of another site can send unasked.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let mut given = headers.get_all(header::CONTENT_TYPE);
    let json = match (given.next().and_then(|value| value.to_str().ok()), given.next()) {
        (Some(value), None) => {
            value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        }
        _ => false,
    };
    if json {
        Ok(())
    } else {
        Err(Problem::new(415, "not_json", "unsupported media type", "send Content-Type: application/json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn host_status(hosts: &Hosts, uri: &str, pairs: &[(&str, &str)], way: Way) -> u16 {
        hosts.check(&uri.parse().unwrap(), &headers(pairs), way).err().map_or(200, |problem| problem.status)
    }

    #[test]
    fn only_loopback_names_with_the_right_port_are_ours() {
        let hosts = Hosts::new("127.0.0.1:7447".parse().unwrap(), &[], false);
        for host in ["127.0.0.1:7447", "localhost:7447", "LOCALHOST:7447", "[::1]:7447"] {
            assert_eq!(host_status(&hosts, "/", &[("host", host)], Way::Tcp), 200, "{host}");
        }
        for host in [
            "evil.test",
            "evil.test:7447",
            "localhost",
            "127.0.0.1",
            "localhost:7448",
            "localhost.:7447",
            "localhost:7447.evil.test",
            "127.0.0.1.evil.test:7447",
            "127.1:7447",
            "2130706433:7447",
            "0.0.0.0:7447",
            "user@localhost:7447",
            "",
        ] {
            assert_eq!(host_status(&hosts, "/", &[("host", host)], Way::Tcp), 421, "{host}");
        }
    }

    #[test]
    fn missing_or_double_host_is_a_bad_request() {
        let hosts = Hosts::new("127.0.0.1:7447".parse().unwrap(), &[], false);
        assert_eq!(host_status(&hosts, "/", &[], Way::Tcp), 400);
        let twice = [("host", "localhost:7447"), ("host", "evil.test")];
        assert_eq!(host_status(&hosts, "/", &twice, Way::Tcp), 400);
    }

    #[test]
    fn absolute_address_of_another_host_is_refused_behind_a_good_host_header() {
        let hosts = Hosts::new("127.0.0.1:7447".parse().unwrap(), &[], false);
        let good = [("host", "localhost:7447")];
        assert_eq!(host_status(&hosts, "http://evil.test/metrics", &good, Way::Tcp), 421);
        assert_eq!(host_status(&hosts, "http://localhost:7447/metrics", &good, Way::Tcp), 200);
    }

    #[test]
    fn other_users_are_not_heard_over_the_socket() {
        assert!(check_user(Some(1_000), 1_000).is_ok());
        assert!(check_user(Some(0), 1_000).is_ok());
        assert_eq!(check_user(Some(1_001), 1_000).unwrap_err().status, 403);
        assert_eq!(check_user(Some(1_000), 0).unwrap_err().code, "wrong_user");
        assert_eq!(check_user(None, 1_000).unwrap_err().status, 403, "a system that does not say");
    }

    #[test]
    fn name_without_port_is_ours_on_port_80_and_on_the_socket_only() {
        let hosts = Hosts::new("127.0.0.1:80".parse().unwrap(), &[], false);
        assert_eq!(host_status(&hosts, "/", &[("host", "localhost")], Way::Tcp), 200);
        let hosts = Hosts::new("127.0.0.2:7447".parse().unwrap(), &[], false);
        assert_eq!(host_status(&hosts, "/", &[("host", "127.0.0.2:7447")], Way::Tcp), 200);
        assert_eq!(host_status(&hosts, "/", &[("host", "localhost")], Way::Tcp), 421);
        assert_eq!(host_status(&hosts, "/", &[("host", "localhost")], Way::Socket), 200);
        assert_eq!(host_status(&hosts, "/", &[("host", "evil.test")], Way::Socket), 421);
    }

    #[test]
    fn origin_must_be_the_host_that_was_asked() {
        let hosts = Hosts::new("127.0.0.1:7447".parse().unwrap(), &[], false);
        let good = ("host", "127.0.0.1:7447");
        let status = |method, pairs: &[(&str, &str)]| {
            check_origin(&hosts, &headers(pairs), method).err().map_or(200, |problem| problem.status)
        };
        assert_eq!(status(Method::Post, &[good]), 200);
        assert_eq!(status(Method::Post, &[good, ("origin", "http://127.0.0.1:7447")]), 200);
        assert_eq!(status(Method::Post, &[good, ("sec-fetch-site", "same-origin")]), 200);
        assert_eq!(status(Method::Get, &[good, ("sec-fetch-site", "none")]), 200);
        for origin in [
            "null",
            "http://evil.test",
            "http://127.0.0.1",
            "http://127.0.0.1:7448",
            "https://127.0.0.1:7447",
            "http://localhost:7447",
            "http://127.0.0.1:7447.evil.test",
        ] {
            assert_eq!(status(Method::Post, &[good, ("origin", origin)]), 403, "{origin}");
            assert_eq!(status(Method::Get, &[good, ("origin", origin)]), 403, "{origin}");
        }
        for site in ["cross-site", "same-site", "other"] {
            assert_eq!(status(Method::Post, &[good, ("sec-fetch-site", site)]), 403, "{site}");
            assert_eq!(status(Method::Get, &[good, ("sec-fetch-site", site)]), 403, "{site}");
        }
        assert_eq!(status(Method::Post, &[good, ("sec-fetch-site", "none")]), 403);
    }

    #[test]
    fn listed_names_are_ours_as_they_are_written_and_nothing_near_them() {
        let listed = ["bot.example.org".to_owned(), "proxy.example.org:443".to_owned(), "[2001:db8::1]".to_owned()];
        let hosts = Hosts::new("0.0.0.0:7447".parse().unwrap(), &listed, true);
        let ours = |host: &str| host_status(&hosts, "/", &[("host", host)], Way::Tcp) == 200;
        for host in [
            "bot.example.org:7447",
            "BOT.example.org:7447",
            "proxy.example.org",
            "proxy.example.org:443",
            "[2001:db8::1]:7447",
        ] {
            assert!(ours(host), "{host}");
        }
        for host in [
            "bot.example.org",
            "bot.example.org:443",
            "bot.example.org.:7447",
            "x.bot.example.org:7447",
            "proxy.example.org:7447",
            "localhost:7447",
            "127.0.0.1:7447",
            "0.0.0.0:7447",
            "[2001:db8::2]:7447",
        ] {
            assert!(!ours(host), "{host}");
        }
    }

    #[test]
    fn origin_of_a_tls_server_is_https_and_of_a_proxied_name_either() {
        let status = |hosts: &Hosts, host: &str, origin: &str| {
            let headers = headers(&[("host", host), ("origin", origin)]);
            check_origin(hosts, &headers, Method::Post).err().map_or(200, |problem| problem.status)
        };
        let listed = ["bot.example.org".to_owned(), "proxy.example.org:443".to_owned()];
        let tls = Hosts::new("0.0.0.0:7447".parse().unwrap(), &listed, true);
        assert_eq!(status(&tls, "bot.example.org:7447", "https://bot.example.org:7447"), 200);
        assert_eq!(status(&tls, "bot.example.org:7447", "http://bot.example.org:7447"), 403);
        let plain = Hosts::new("127.0.0.1:7447".parse().unwrap(), &listed, false);
        assert_eq!(status(&plain, "proxy.example.org", "https://proxy.example.org"), 200);
        assert_eq!(status(&plain, "proxy.example.org", "https://evil.test"), 403);
        assert_eq!(status(&plain, "localhost:7447", "https://localhost:7447"), 403);
    }

    #[test]
    fn only_json_is_taken() {
        let fine = |pairs: &[(&str, &str)]| check_content_type(&headers(pairs)).is_ok();
        assert!(fine(&[("content-type", "application/json")]));
        assert!(fine(&[("content-type", "Application/JSON; charset=utf-8")]));
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", ""]
        {
            assert!(!fine(&[("content-type", kind)]), "{kind}");
        }
        assert!(!fine(&[]));
        assert!(!fine(&[("content-type", "application/json"), ("content-type", "text/plain")]));
    }

    #[test]
    fn head_beyond_eight_kibibytes_is_refused() {
        let uri: Uri = "/metrics".parse().unwrap();
        let long = "x".repeat(HEADER_BYTES_MAX);
        assert!(check_head(&uri, &headers(&[("cookie", "short")])).is_ok());
        assert_eq!(check_head(&uri, &headers(&[("cookie", &long)])).unwrap_err().status, 431);
        let query: Uri = format!("/?{long}").parse().unwrap();
        assert_eq!(check_head(&query, &headers(&[])).unwrap_err().status, 431);
    }
}
