//! Requests that a web page can cause from a browser on this machine: they are refused.
//!
//! A page of another site sends an `Origin` with all that has an effect. A page whose name was pointed at this machine
//! (DNS rebinding) has that name as its `Host`; an address or `localhost` as `Host` is never one of those.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HOST, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{Method, Request};

const OF_A_PAGE: &str = "requests of web pages are refused\n";
const OTHER_HOST: &str = "the Host of this request is none of this program's\n";

/// How a listener is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// By a socket that no browser can open.
    Private,
    /// At this address.
    Tcp(SocketAddr),
}

impl Access {
    /// The reason for which a request is refused.
    pub(super) fn refusal<B>(self, request: &Request<B>) -> Option<&'static str> {
        if request.headers().contains_key(ORIGIN) {
            return Some(OF_A_PAGE);
        }
        let Self::Tcp(address) = self else {
            return None;
        };
        let has_effect = request.method() != Method::GET && request.method() != Method::HEAD;
        let headers = request.headers().get_all(HOST).iter();
        let names = headers.map(|value| value.to_str().ok()?.parse().ok());
        let target = request.uri().authority().cloned().map(Some);
        for name in names.chain(target) {
            if !name.is_some_and(|name: Authority| is_own(&name, address.ip(), has_effect)) {
                return Some(OTHER_HOST);
            }
        }
        // Only an HTTP/1.0 request may have none, and no browser sends that.
        None
    }
}

fn is_own(name: &Authority, bound: IpAddr, has_effect: bool) -> bool {
    let host = name.host();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
        .ok();
    let is_here = host.eq_ignore_ascii_case("localhost")
        || address.is_some_and(|ip| ip.to_canonical().is_loopback() || ip == bound);
    if has_effect {
        return is_here;
    }
    is_here || address.is_some() || !bound.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a request passes at a listener with this address.
    fn passes(bound: &str, method: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let access = Access::Tcp(format!("{bound}:9091").parse().unwrap());
        access.refusal(&request.body(()).unwrap()).is_none()
    }

    #[test]
    fn a_request_with_an_effect_needs_a_host_of_this_machine() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:9091", true),
            ("127.0.0.1:8080", true),
            ("127.8.0.1", true),
            ("[::1]:9091", true),
            ("[::ffff:127.0.0.1]", true),
            ("attacker.test", false),
            ("attacker.test:9091", false),
            ("localhost.attacker.test", false),
            ("localhost@attacker.test", false),
            ("127.0.0.1.attacker.test", false),
            ("192.0.2.1", false),
            ("0.0.0.0:9091", false),
            ("", false),
            ("a b", false),
        ] {
            assert_eq!(
                passes("127.0.0.1", "POST", &[("host", host)]),
                expected,
                "{host}"
            );
            assert_eq!(
                passes("127.0.0.1", "DELETE", &[("host", host)]),
                expected,
                "{host}"
            );
        }
        assert!(passes("192.0.2.1", "POST", &[("host", "192.0.2.1:9091")]));
        assert!(passes("127.0.0.1", "POST", &[]));
    }

    #[test]
    fn a_probe_of_a_loopback_listener_needs_an_address_or_localhost_and_of_another_nothing() {
        for (host, at_loopback) in [
            ("localhost:9090", true),
            ("127.0.0.1", true),
            ("10.0.0.7:9090", true),
            ("[2001:db8::1]:9090", true),
            ("attacker.test", false),
            ("proxy.default.svc", false),
        ] {
            for method in ["GET", "HEAD"] {
                let host = [("host", host)];
                assert_eq!(passes("127.0.0.1", method, &host), at_loopback, "{host:?}");
                assert_eq!(passes("[::1]", method, &host), at_loopback, "{host:?}");
                assert!(passes("0.0.0.0", method, &host), "{host:?}");
                assert!(passes("10.0.0.7", method, &host), "{host:?}");
            }
        }
    }

    #[test]
    fn an_origin_is_refused_whatever_it_is_and_wherever_it_arrives() {
        for origin in ["https://attacker.test", "null", "http://localhost:9091", ""] {
            for method in ["GET", "POST"] {
                let headers = [("host", "localhost"), ("origin", origin)];
                assert!(!passes("127.0.0.1", method, &headers), "{origin}");
                assert!(!passes("0.0.0.0", method, &headers), "{origin}");
            }
            let request = Request::builder()
                .header("origin", origin)
                .body(())
                .unwrap();
            assert!(Access::Private.refusal(&request).is_some());
        }
    }

    #[test]
    fn one_strange_host_among_several_is_enough() {
        let headers = [("host", "localhost"), ("host", "attacker.test")];
        assert!(!passes("127.0.0.1", "POST", &headers));
        let request = Request::builder().uri("http://attacker.test/x");
        let request = request.header("host", "localhost").body(()).unwrap();
        let access = Access::Tcp("127.0.0.1:9091".parse().unwrap());
        assert!(access.refusal(&request).is_some());
    }
}
