//! Ports for what will listen later, or again.

use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the system gives to connections and to listeners without a wish.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A free port, given once in this process: who listens there later, or stops and listens again, finds it as it left it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Each process begins elsewhere.
    let start = process::id().wrapping_mul(499) % u32::from(COUNT);
    for _ in 0..COUNT {
        let number = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from((start + number) % u32::from(COUNT)).unwrap();
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}
