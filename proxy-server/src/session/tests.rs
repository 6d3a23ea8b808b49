//! What is made of the client's word on its application.

use super::*;

fn hello(peer: Option<&str>) -> Hello {
    Hello {
        version: VERSION,
        capabilities: vec![],
        session_id: String::new(),
        instance: String::new(),
        transport: Transport::Tcp,
        peer: peer.map(str::to_owned),
        uid: None,
        client: String::new(),
    }
}

#[test]
fn an_application_is_beside_its_client_on_loopback_and_on_a_unix_socket() {
    for (peer, expected) in [
        (Some("127.0.0.1:7"), true),
        (Some("[::1]:7"), true),
        (Some("[::ffff:127.0.0.1]:7"), true),
        (Some("192.0.2.9:7"), false),
        (Some("nonsense"), false),
        (None, false),
    ] {
        assert_eq!(is_beside_its_client(&hello(peer)), expected, "{peer:?}");
    }
    let unix = Hello {
        transport: Transport::Unix,
        ..hello(None)
    };
    assert!(is_beside_its_client(&unix));
}

#[test]
fn an_application_beside_its_client_is_known_by_the_clients_address() {
    let client: SocketAddr = "192.0.2.1:5".parse().unwrap();
    let peer = Peer {
        addr: Some(client),
        ..Peer::default()
    };
    let application = "192.0.2.9:7";
    for (said, expected) in [
        (Some(application), Some(application.parse().unwrap())),
        (Some("127.0.0.1:7"), Some(client)),
        (Some("[::ffff:127.0.0.1]:7"), Some(client)),
        (Some("nonsense"), Some(client)),
        (None, Some(client)),
    ] {
        assert_eq!(source(peer, Some(&hello(said))), expected, "{said:?}");
    }
    assert_eq!(source(peer, None), Some(client));
    assert_eq!(source(Peer::default(), None), None);
}

/// What a task of this function's takes for as long as it lives.
fn size_of_task<F, A, B, C, D>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn a_session_takes_little_memory_while_it_rests() {
    let size = size_of_task(run);
    assert!(size <= 3584, "{size} bytes");
}
