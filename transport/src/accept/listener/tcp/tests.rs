//! Tests of the options that connections have from their listener.

use socket2::SockRef;

use super::*;
use crate::socket::pacing::{congestion, other_than_reno};

const ANY: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

fn bind(addr: &str) -> TcpListener {
    listen(addr.parse().unwrap()).unwrap()
}

fn connect(addr: SocketAddr) -> TcpStream {
    TcpStream::connect(addr).unwrap()
}

fn is_complete(stream: &TcpStream) -> bool {
    is_tuned(stream, &TcpOptions::default()).unwrap()
}

#[tokio::test]
async fn connections_have_every_option_from_their_listener() {
    for addr in ANY {
        let tcp = Tcp::new(bind(addr)).unwrap();
        for _ in 0..2 {
            let client = connect(tcp.local_addr().unwrap());
            let (stream, peer) = tcp.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
            assert!(is_complete(&stream), "{addr}");
            assert_eq!(congestion(&stream), "reno", "{addr}");
            assert!(tcp.is_inherited.load(Ordering::Relaxed), "{addr}");
        }
    }
}

#[tokio::test]
async fn once_they_were_seen_to_come_from_there_nothing_is_set() {
    for addr in ANY {
        let tcp = Tcp::new(bind(addr)).unwrap();
        let addr = tcp.local_addr().unwrap();
        let _first = connect(addr);
        tcp.accept().await.unwrap();
        // What the listener has not shows whether accepting adds to it.
        SockRef::from(&tcp.listener).set_keepalive(false).unwrap();
        let other = other_than_reno(&tcp.listener);
        let _second = connect(addr);
        let (stream, _) = tcp.accept().await.unwrap();
        assert!(!SockRef::from(&stream).keepalive().unwrap(), "{addr}");
        if let Some(other) = other {
            assert_eq!(congestion(&stream), other, "{addr}");
        }
    }
}

#[tokio::test]
async fn connections_that_waited_before_the_listener_was_taken_over_get_the_options_too() {
    for addr in ANY {
        let listener = bind(addr);
        let addr = listener.local_addr().unwrap();
        let _before = [connect(addr), connect(addr)];
        let tcp = Tcp::new(listener).unwrap();
        let _after = connect(addr);
        for is_inherited in [false, false, true] {
            let (stream, _) = tcp.accept().await.unwrap();
            assert!(is_complete(&stream), "{addr}");
            assert_eq!(congestion(&stream), "reno", "{addr}");
            assert_eq!(tcp.is_inherited.load(Ordering::Relaxed), is_inherited);
        }
    }
}

#[tokio::test]
async fn a_kernel_that_hands_nothing_on_makes_no_difference() {
    let tcp = Tcp::new(bind("127.0.0.1:0")).unwrap();
    SockRef::from(&tcp.listener).set_keepalive(false).unwrap();
    other_than_reno(&tcp.listener);
    for _ in 0..3 {
        let _client = connect(tcp.local_addr().unwrap());
        let (stream, _) = tcp.accept().await.unwrap();
        assert!(is_complete(&stream));
        assert_eq!(congestion(&stream), "reno");
    }
}

#[tokio::test]
async fn at_an_address_for_all_only_this_machines_own_connections_are_not_paced() {
    for (all, ip) in [
        ("0.0.0.0:0", "127.0.0.1"),
        ("[::]:0", "::1"),
        ("[::]:0", "127.0.0.1"),
    ] {
        let listener = bind(all);
        let Some(other) = other_than_reno(&listener) else {
            return;
        };
        let tcp = Tcp::new(listener).unwrap();
        assert_eq!(congestion(&tcp.listener), other);
        let port = tcp.local_addr().unwrap().port();
        for _ in 0..2 {
            let _client = connect(SocketAddr::new(ip.parse().unwrap(), port));
            let (stream, _) = tcp.accept().await.unwrap();
            assert!(is_complete(&stream), "{ip}");
            assert_eq!(congestion(&stream), "reno", "{ip}");
        }
        // One from far away, as far as accepting is told.
        let stream = connect(SocketAddr::new(ip.parse().unwrap(), port));
        other_than_reno(&stream).unwrap();
        tcp.complete(&stream, "192.0.2.1:9".parse().unwrap())
            .unwrap();
        assert_eq!(congestion(&stream), other);
    }
}

#[tokio::test]
async fn what_is_accepted_never_blocks_and_stays_with_this_program() {
    let tcp = Tcp::new(bind("127.0.0.1:0")).unwrap();
    let _client = connect(tcp.local_addr().unwrap());
    let (stream, _) = tcp.accept().await.unwrap();
    let status = rustix::fs::fcntl_getfl(&stream).unwrap();
    assert!(status.contains(rustix::fs::OFlags::NONBLOCK));
    let descriptor = rustix::io::fcntl_getfd(&stream).unwrap();
    assert!(descriptor.contains(rustix::io::FdFlags::CLOEXEC));
}
