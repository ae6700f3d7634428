//! Who a client is behind proxies: what is believed, of whom, and what is made of lies and garbage.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use maitred_web::ClientAddress;
use maitred_web::address::{HOPS_MAX, Network, Proxies, ProxyHeader, one_client};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn proxies(header: ProxyHeader) -> Proxies {
    let networks = ["10.0.0.0/8", "fd00::/8", "192.0.2.1"].map(|text| text.parse().expect("a network"));
    Proxies { networks: networks.into(), header }
}

/// Who the client is of whom `peer` brings these lines of a header.
fn client(header: ProxyHeader, peer: &str, lines: &[&str]) -> String {
    let name = match header {
        ProxyHeader::XForwardedFor => "x-forwarded-for",
        ProxyHeader::Forwarded => "forwarded",
    };
    let mut headers = HeaderMap::new();
    for line in lines {
        let value = HeaderValue::from_bytes(line.as_bytes()).expect("a header");
        headers.append(HeaderName::from_static(name), value);
    }
    proxies(header).client(ip(peer), &headers).to_string()
}

#[test]
fn the_right_most_address_that_is_no_proxy_is_the_client() {
    for (peer, lines, expected) in [
        ("10.0.0.2", &["203.0.113.7"][..], "203.0.113.7"),
        ("::ffff:10.0.0.2", &["203.0.113.7"], "203.0.113.7"),
        ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.2", &["203.0.113.7, 10.0.0.3,192.0.2.1"], "203.0.113.7"),
        ("10.0.0.2", &["203.0.113.7", "10.0.0.3"], "203.0.113.7"),
        ("10.0.0.2", &["::ffff:203.0.113.7"], "203.0.113.7"),
        ("10.0.0.2", &["203.0.113.7:4711"], "203.0.113.7"),
        ("10.0.0.2", &["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.2", &["[2001:db8::7]"], "2001:db8::7"),
        ("10.0.0.2", &[" 203.0.113.7 ,, "], "203.0.113.7"),
        // Nobody but proxies: the first of them.
        ("10.0.0.2", &["10.0.0.4, 10.0.0.3"], "10.0.0.4"),
        ("10.0.0.2", &[], "10.0.0.2"),
        ("10.0.0.2", &[""], "10.0.0.2"),
    ] {
        assert_eq!(client(ProxyHeader::XForwardedFor, peer, lines), expected, "{peer} {lines:?}");
    }
}

#[test]
fn a_client_cannot_say_who_it_is() {
    for (peer, lines, expected) in [
        // It is no proxy.
        ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
        ("11.0.0.1", &["198.51.100.1"], "11.0.0.1"),
        ("::ffff:203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
        ("2001:db8::9", &["10.0.0.1"], "2001:db8::9"),
        // It wrote something before the proxy did, on the same line or another.
        ("10.0.0.2", &["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.2", &["10.0.0.9, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.2", &["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.2", &["\"198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.2", &["unknown, \u{fc}, 203.0.113.9"], "203.0.113.9"),
    ] {
        assert_eq!(client(ProxyHeader::XForwardedFor, peer, lines), expected, "{peer} {lines:?}");
    }
}

#[test]
fn garbage_ends_the_search_at_the_proxy_that_is_known() {
    for garbage in [
        "unknown",
        "_hidden",
        "203.0.113",
        "203.0.113.256",
        "0203.0.113.7",
        "203.0.113.7:",
        "203.0.113.7:x",
        "203.0.113.7:65536",
        "203.0.113.7:+1",
        "203.0.113.7/32",
        "[203.0.113.7]",
        "[2001:db8::7",
        "2001:db8::7]",
        "[2001:db8::7]x",
        "fe80::1%eth0",
        "for=203.0.113.7",
        "example.com",
        "\u{fc}",
        "'",
        "203.0.113.7 198.51.100.1",
    ] {
        let lines = [&*format!("198.51.100.1, {garbage}, 10.0.0.3")];
        assert_eq!(client(ProxyHeader::XForwardedFor, "10.0.0.2", &lines), "10.0.0.3", "{garbage}");
        assert_eq!(client(ProxyHeader::XForwardedFor, "10.0.0.2", &[garbage]), "10.0.0.2", "{garbage}");
    }
    let long = vec!["10.0.0.3"; HOPS_MAX].join(",");
    let lines = [&*format!("203.0.113.7,{long}")];
    assert_eq!(client(ProxyHeader::XForwardedFor, "10.0.0.2", &lines), "10.0.0.3", "too many hops");
    let lines = [&*format!("203.0.113.7,{}", &long["10.0.0.3,".len()..])];
    assert_eq!(client(ProxyHeader::XForwardedFor, "10.0.0.2", &lines), "203.0.113.7");
}

#[test]
fn forwarded_is_read_by_its_own_form() {
    for (line, expected) in [
        ("for=203.0.113.7", "203.0.113.7"),
        ("For=\"203.0.113.7:47\";proto=https;by=10.0.0.2", "203.0.113.7"),
        ("proto=https; for=\"[2001:db8::7]:47\"", "2001:db8::7"),
        ("for=203.0.113.7, for=10.0.0.3", "203.0.113.7"),
        ("for=198.51.100.1, for=203.0.113.7;host=\"a\"", "203.0.113.7"),
        ("for=\", for=203.0.113.7", "203.0.113.7"),
        ("for=203.0.113.7, for=unknown", "10.0.0.2"),
        ("for=203.0.113.7, proto=https", "10.0.0.2"),
        ("for=203.0.113.7;for=198.51.100.1", "10.0.0.2"),
        ("203.0.113.7", "10.0.0.2"),
        ("for=_hidden", "10.0.0.2"),
        ("for", "10.0.0.2"),
        ("=;=", "10.0.0.2"),
    ] {
        assert_eq!(client(ProxyHeader::Forwarded, "10.0.0.2", &[line]), expected, "{line}");
    }
}

#[test]
fn the_header_that_proxies_do_not_write_is_not_read() {
    let mut headers = HeaderMap::new();
    headers.insert("forwarded", HeaderValue::from_static("for=198.51.100.1"));
    let by = |header| proxies(header).client(ip("10.0.0.2"), &headers).to_string();
    assert_eq!(by(ProxyHeader::XForwardedFor), "10.0.0.2");
    assert_eq!(by(ProxyHeader::Forwarded), "198.51.100.1");
    assert_eq!(Proxies::default().client(ip("10.0.0.2"), &headers), ip("10.0.0.2"), "nobody is believed");
}

#[test]
fn a_request_carries_the_client_that_was_found() {
    let resolved = |peer: Option<&str>| {
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static("203.0.113.7"));
        request.extensions_mut().insert(ClientAddress(peer.map(ip)));
        proxies(ProxyHeader::XForwardedFor).resolve(&mut request);
        request.extensions().get::<ClientAddress>().and_then(|address| address.0)
    };
    assert_eq!(resolved(Some("10.0.0.2")), Some(ip("203.0.113.7")));
    assert_eq!(resolved(Some("198.51.100.1")), Some(ip("198.51.100.1")));
    assert_eq!(resolved(None), None);
}

#[test]
fn a_network_is_written_as_people_write_it() {
    for (text, inside, outside) in [
        ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
        ("0.0.0.0/0", "203.0.113.7", "::1"),
        ("::/0", "2001:db8::1", "203.0.113.7"),
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("192.0.2.1/32", "::ffff:192.0.2.1", "192.0.2.0"),
        ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"),
        ("fd00::/8", "fdff::1", "fe00::"),
        ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ("2001:db8:0:8000::/49", "2001:db8:0:ffff::1", "2001:db8:0:7fff::1"),
    ] {
        let network: Network = text.parse().expect(text);
        assert!(network.contains(ip(inside)) && !network.contains(ip(outside)), "{text}");
        assert_eq!(network.to_string().parse(), Ok(network), "{text}");
    }
    for text in [
        "",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/256",
        "::/129",
        "10.0.0.1/8",
        "2001:db8::1/64",
        "10.0/8",
        "localhost",
        "::ffff:10.0.0.1",
        " 10.0.0.1",
    ] {
        assert!(text.parse::<Network>().is_err(), "{text}");
    }
}

#[test]
fn a_host_of_ipv6_is_one_client_whatever_address_it_takes() {
    assert_eq!(one_client(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
    assert_eq!(one_client(ip("::ffff:203.0.113.7")), ip("203.0.113.7"));
    assert_eq!(one_client(ip("203.0.113.7")), ip("203.0.113.7"));
}
