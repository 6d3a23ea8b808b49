//! The PROXY protocol, version 2: tells a database that accepts it (MariaDB) whose connection this is.
//!
//! Source: the PROXY protocol's specification, section 2.2.

use std::net::SocketAddr;

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, a connection of our own.
const LOCAL: u8 = 0x20;
/// Version 2, a connection of somebody else's.
const PROXY: u8 = 0x21;
/// A stream over IPv4, and its bytes of addresses.
const TCP4: [u8; 3] = [0x11, 0, 12];
/// A stream over IPv6, and its bytes of addresses.
const TCP6: [u8; 3] = [0x21, 0, 36];

/// The header for a connection from that address; without one it says that the connection is our own.
///
/// The address that it was made to stays unspecified: the database does not look at it, and over a Unix socket there is
/// none.
pub fn proxy_header(source: Option<SocketAddr>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some(source) = source else {
        header.extend_from_slice(&[LOCAL, 0, 0, 0]);
        return header;
    };
    header.push(PROXY);
    match source.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => {
            header.extend_from_slice(&TCP4);
            header.extend_from_slice(&ip.octets());
            header.extend_from_slice(&[0; 4]);
        }
        std::net::IpAddr::V6(ip) => {
            header.extend_from_slice(&TCP6);
            header.extend_from_slice(&ip.octets());
            header.extend_from_slice(&[0; 16]);
        }
    }
    header.extend_from_slice(&source.port().to_be_bytes());
    header.extend_from_slice(&[0; 2]);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_shape_and_mapped_addresses_are_what_they_map() {
        let v4 = proxy_header(Some("192.0.2.7:51234".parse().unwrap()));
        assert_eq!(
            v4,
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\0\0\0\0\xc8\x22\0\0"
        );
        let mapped = proxy_header(Some("[::ffff:192.0.2.7]:51234".parse().unwrap()));
        assert_eq!(mapped, v4);
        let v6 = proxy_header(Some("[2001:db8::1]:1".parse().unwrap()));
        assert_eq!(v6.len(), 16 + 36);
        assert_eq!(v6[12..18], [0x21, 0x21, 0, 36, 0x20, 0x01]);
        assert_eq!(v6[48..], [0, 1, 0, 0]);
    }

    #[test]
    fn nobodys_connection_is_our_own() {
        assert_eq!(proxy_header(None), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    }
}
