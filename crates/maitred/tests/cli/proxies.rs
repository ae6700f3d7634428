//! Who a client is behind a proxy, and how often it may ask, as the running program sees it.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::program::{Folder, Server};

/// The status of a request with these headers, on a connection of its own.
fn ask(server: &Server, headers: &[&str]) -> u16 {
    let mut stream = TcpStream::connect(server.address).expect("it listens");
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!(
        "GET /v1/tenants/demo/services HTTP/1.1\r\nHost: {}\r\n{headers}Connection: close\r\n\r\n",
        server.address
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {answer}"))
}

fn statuses(server: &Server, headers: &[&str]) -> [u16; 4] {
    [(); 4].map(|()| ask(server, headers))
}

#[test]
fn whom_a_trusted_proxy_brings_is_counted_and_nobody_can_be_another() {
    let folder = Folder::new();
    let limit = ["--demo", "--address-per-minute", "3"];
    let server = Server::start(
        &folder.path("a"),
        &[&limit[..], &["--trusted-proxies", "127.0.0.0/8,fd00::/8"]].concat(),
    );
    assert_eq!(statuses(&server, &[]), [200; 4], "the proxy itself is this machine");
    assert_eq!(statuses(&server, &["X-Forwarded-For: 203.0.113.7"]), [200, 200, 200, 429]);
    assert_eq!(ask(&server, &["X-Forwarded-For: 198.51.100.1, 203.0.113.7"]), 429, "it says it is another");
    assert_eq!(
        ask(&server, &["X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 203.0.113.7, fd00::2"]),
        429
    );
    assert_eq!(ask(&server, &["X-Forwarded-For: 203.0.113.7", "Forwarded: for=198.51.100.1"]), 429);
    assert_eq!(ask(&server, &["X-Forwarded-For: 198.51.100.1"]), 200, "another");
    assert_eq!(statuses(&server, &["X-Forwarded-For: 2001:db8::7"]), [200, 200, 200, 429]);
    assert_eq!(ask(&server, &["X-Forwarded-For: 2001:db8::8"]), 429, "another address of the same host");
    assert_eq!(statuses(&server, &["X-Forwarded-For: garbage"]), [200; 4]);
    server.stop();

    // Without a word about proxies no header is believed.
    let server = Server::start(&folder.path("b"), &limit);
    assert_eq!(statuses(&server, &["X-Forwarded-For: 203.0.113.7"]), [200; 4]);
    server.stop();
}

#[test]
fn proxies_that_write_the_other_header_are_believed_by_that_one() {
    let folder = Folder::new();
    let config = folder.write(
        "maitred.toml",
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\nproxy_header = \"forwarded\"\n[rates]\naddress_per_minute = 3\n",
    );
    let server = Server::start(&folder.path("data"), &["--demo", "--config", &config]);
    assert_eq!(statuses(&server, &["Forwarded: for=\"203.0.113.7:99\";proto=https"]), [200, 200, 200, 429]);
    assert_eq!(statuses(&server, &["X-Forwarded-For: 203.0.113.7"]), [200; 4]);
    server.stop();
}
