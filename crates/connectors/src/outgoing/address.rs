//! What an address is to a server that fetches what others name: public, private, or never to be spoken to.
//!
//! Invariants:
//! - Whatever is not known to be public is not public: of IPv6 only 2000::/3 can be, less what is set apart in it.
//! - An address that carries an IPv4 address is as public as that one, in whichever of the forms it is carried.
//!
//! Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates), RFC 4291
//! (mapped, compatible), RFC 2765 (translated), RFC 6052 and RFC 8215 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo),
//! RFC 5214 (ISATAP), and the manuals of the clouds for the addresses of their metadata services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressClass {
    /// Anybody's on the internet.
    Public,
    /// Of this machine, of its network or of its carrier: only where it was allowed by name.
    Private(&'static str),
    /// Not to be spoken to, whatever is allowed: the reason.
    Never(&'static str),
}

const LOOPBACK: AddressClass = AddressClass::Private("a loopback address");
const PRIVATE: AddressClass = AddressClass::Private("a private address");
const CARRIER: AddressClass = AddressClass::Private("an address of a carrier's network (CGNAT)");
const METADATA: AddressClass = AddressClass::Never("the address of a metadata service");
const LINK_LOCAL: AddressClass = AddressClass::Never("a link-local address");
const MULTICAST: AddressClass = AddressClass::Never("a multicast address");
const UNSPECIFIED: AddressClass = AddressClass::Never("an unspecified address");
const DOCUMENTATION: AddressClass = AddressClass::Never("an address for documentation");
const BENCHMARK: AddressClass = AddressClass::Never("an address for benchmarks");
const RESERVED: AddressClass = AddressClass::Never("a reserved address");

/// The metadata services that stand outside the link-local addresses: of Alibaba, of Azure and of Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
/// The same of Amazon and of Google.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

impl AddressClass {
    /// What `address` is.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

fn of_v4(address: Ipv4Addr) -> AddressClass {
    if METADATA_V4.contains(&address) {
        return METADATA;
    }
    match address.octets() {
        [0, ..] => UNSPECIFIED,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => PRIVATE,
        [127, ..] => LOOPBACK,
        [100, 64..=127, ..] => CARRIER,
        [169, 254, ..] => LINK_LOCAL,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => DOCUMENTATION,
        [198, 18 | 19, ..] => BENCHMARK,
        [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => RESERVED,
        [224..=239, ..] => MULTICAST,
        _ => AddressClass::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> AddressClass {
    if METADATA_V6.contains(&address) {
        return METADATA;
    }
    if address.is_unspecified() {
        return UNSPECIFIED;
    }
    if address.is_loopback() {
        return LOOPBACK;
    }
    if let Some(carried) = carried_v4(address) {
        return carried;
    }
    match address.segments() {
        [0xfe80..=0xfebf, ..] => LINK_LOCAL,
        [0xfec0..=0xfeff, ..] => AddressClass::Never("a site-local address"),
        [0xfc00..=0xfdff, ..] => PRIVATE,
        [0xff00..=0xffff, ..] => MULTICAST,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => DOCUMENTATION,
        [0x2001, 2, 0, ..] => BENCHMARK,
        // What else of 2001::/23 is set apart for protocols: none of it is a server's.
        [0x2001, 0..=0x01ff, ..] => RESERVED,
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => RESERVED,
    }
}

/// What an IPv6 address is that only carries IPv4 addresses: what the worst of these is.
fn carried_v4(address: Ipv6Addr) -> Option<AddressClass> {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    let [.., high, low] = segments;
    Some(match segments {
        // Compatible, mapped, translated (SIIT).
        [0, 0, 0, 0, 0, 0, _, _] | [0, 0, 0, 0, 0, 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => {
            of_v4(v4(high, low))
        }
        // NAT64, well known and local. Where a local one keeps its IPv4 address is known to its network alone.
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => of_v4(v4(high, low)),
        [0x64, 0xff9b, 1, ..] => RESERVED,
        // 6to4.
        [0x2002, high, low, ..] => of_v4(v4(high, low)),
        // Teredo: its server, and its client in the inverse.
        [0x2001, 0, server_high, server_low, ..] => {
            let (server, client) = (of_v4(v4(server_high, server_low)), of_v4(v4(!high, !low)));
            if client == AddressClass::Public { server } else { client }
        }
        // ISATAP, below any prefix. Where the rest is public the prefix decides.
        [prefix, .., 0x0000 | 0x0200, 0x5efe, _, _] if prefix & 0xffc0 != 0xfe80 => {
            match of_v4(v4(high, low)) {
                AddressClass::Public => return None,
                class => class,
            }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_address_is_told_apart_at_its_edges() {
        use AddressClass::Public;
        let site_local = AddressClass::Never("a site-local address");
        let rows: &[(AddressClass, &[&str])] = &[
            (
                Public,
                &[
                    "1.1.1.1",
                    "9.255.255.255",
                    "11.0.0.0",
                    "100.63.255.255",
                    "100.128.0.0",
                    "126.255.255.255",
                    "128.0.0.0",
                    "169.253.255.255",
                    "169.255.0.0",
                    "172.15.255.255",
                    "172.32.0.0",
                    "192.0.1.0",
                    "192.0.3.0",
                    "192.88.98.255",
                    "192.88.100.0",
                    "192.167.255.255",
                    "192.169.0.0",
                    "198.17.255.255",
                    "198.20.0.0",
                    "198.51.99.255",
                    "198.51.101.0",
                    "203.0.112.255",
                    "203.0.114.0",
                    "223.255.255.255",
                    "2606:4700:4700::1111",
                    "2001:4860:4860::8888",
                    "2001:200::1",
                    "2001:db7::1",
                    "2001:db9::1",
                    "2003::1",
                    "3ffe::1",
                    "3fff:1000::1",
                ],
            ),
            (Public, &["::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2606::5efe:808:808"]),
            (LOOPBACK, &["127.0.0.1", "127.0.0.0", "127.255.255.255", "::1"]),
            (
                LOOPBACK,
                &[
                    "::ffff:127.0.0.1",
                    "::127.0.0.1",
                    "::ffff:0:127.0.0.1",
                    "64:ff9b::127.0.0.1",
                    "2002:7f00:1::1",
                    "2606::5efe:7f00:1",
                    "2606::200:5efe:7f00:1",
                ],
            ),
            // Teredo: of a public server with a loopback client (inverted), and the other way round.
            (LOOPBACK, &["2001:0:808:808:0:0:80ff:fffe", "2001:0:7f00:1:0:0:f7f7:f7f7"]),
            (
                PRIVATE,
                &[
                    "10.0.0.0",
                    "10.255.255.255",
                    "172.16.0.0",
                    "172.31.255.255",
                    "192.168.0.0",
                    "192.168.255.255",
                    "fc00::1",
                    "fdff:ffff::1",
                    "::ffff:10.0.0.1",
                    "64:ff9b::192.168.1.1",
                    "2002:ac10:1::",
                    "::ffff:0:172.16.0.1",
                ],
            ),
            (CARRIER, &["100.64.0.0", "100.127.255.255", "::ffff:100.64.0.1", "64:ff9b::100.64.0.1"]),
            (
                LINK_LOCAL,
                &[
                    "169.254.0.0",
                    "169.254.169.254",
                    "169.254.255.255",
                    "fe80::1",
                    "febf:ffff::1",
                    "::ffff:169.254.169.254",
                    "::169.254.169.254",
                    "64:ff9b::169.254.169.254",
                    "2002:a9fe:a9fe::",
                    "fe80::5efe:808:808",
                ],
            ),
            (METADATA, &["100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"]),
            (METADATA, &["::ffff:100.100.100.200", "64:ff9b::168.63.129.16"]),
            (MULTICAST, &["224.0.0.0", "239.255.255.255", "ff00::1", "ff02::1", "::ffff:224.0.0.1"]),
            (UNSPECIFIED, &["0.0.0.0", "0.255.255.255", "::", "::ffff:0.0.0.0", "::ffff:0:0.0.0.0"]),
            (
                DOCUMENTATION,
                &[
                    "192.0.2.0",
                    "192.0.2.255",
                    "198.51.100.7",
                    "203.0.113.7",
                    "2001:db8::1",
                    "2001:db8:ffff::1",
                    "3fff::1",
                    "3fff:fff:ffff::1",
                    "::ffff:192.0.2.1",
                ],
            ),
            (BENCHMARK, &["198.18.0.0", "198.19.255.255", "2001:2::1"]),
            (
                RESERVED,
                &[
                    "192.0.0.0",
                    "192.0.0.255",
                    "192.88.99.1",
                    "240.0.0.0",
                    "255.255.255.255",
                    "2001:1::1",
                    "2001:10::1",
                    "2001:1ff::1",
                    "100::1",
                    "64:ff9b:1::1",
                    "5f00::1",
                    "4000::1",
                    "1fff::1",
                ],
            ),
            (site_local, &["fec0::1", "feff:ffff::1"]),
        ];
        for (class, addresses) in rows {
            for address in *addresses {
                let parsed: IpAddr = address.parse().expect("an address");
                assert_eq!(AddressClass::of(parsed), *class, "{address}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn an_address_that_carries_another_is_as_public_as_that_one(number: u32, below: u64) {
            let v4 = Ipv4Addr::from(number);
            let class = of_v4(v4);
            let low = u128::from(number);
            let carriers = [
                0xffff << 32 | low,
                0xffff << 48 | low,
                0x0064_ff9b << 96 | low,
                0x2002 << 112 | low << 80 | u128::from(below),
                // Teredo, of a public server.
                0x2001 << 112 | 0x0808_0808 << 64 | u128::from(!number),
            ];
            for carrier in carriers.map(Ipv6Addr::from) {
                proptest::prop_assert_eq!(of_v6(carrier), class, "{} carries {}", carrier, v4);
            }
            if number > 1 {
                proptest::prop_assert_eq!(of_v6(Ipv6Addr::from(low)), class, "compatible {}", v4);
            }
        }
    }
}
