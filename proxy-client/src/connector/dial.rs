//! Several places of one instance: in their order, the next one after a short head start.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;
use transport::error::DialError;
use transport::socket::{Names, Proxies, TcpOptions, dial_through, first};

use crate::config::HostPort;

/// How long an address is waited for before the next one is tried beside it.
const HEAD_START: Duration = Duration::from_millis(300);

/// The first connection that succeeds.
pub(super) async fn any(
    places: Vec<HostPort>,
    (proxies, names): (&Proxies, &Names),
    options: &TcpOptions,
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    let shown: Vec<String> = places.iter().map(ToString::to_string).collect();
    let attempts = places.into_iter().map(|HostPort { host, port }| {
        let (proxies, names, options) = (proxies.clone(), names.clone(), *options);
        async move { dial_through((&proxies, &names), &host, port, &options, deadline).await }
    });
    let connected = first(attempts.collect(), HEAD_START).await;
    // The first address's error is the one that people look for.
    connected.map_err(|errors: Vec<DialError>| {
        let target = shown.join(", ");
        let first = errors.into_iter().next();
        first.unwrap_or(DialError::Deadline { target })
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::net::TcpListener;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    async fn dialled(hosts: &[&str], port: u16) -> Result<TcpStream, DialError> {
        let place = |host: &&str| HostPort {
            host: (*host).to_owned(),
            port,
        };
        let way = (&Proxies::default(), &Names::default());
        let places = hosts.iter().map(place).collect();
        any(places, way, &TcpOptions::default(), soon()).await
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over_at_once() {
        let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let begun = Instant::now();
        let stream = dialled(&["127.0.0.3", "127.0.0.2"], port).await;
        assert_eq!(
            stream.unwrap().peer_addr().unwrap().ip().to_string(),
            "127.0.0.2"
        );
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test]
    async fn the_first_address_is_taken_while_it_answers_and_another_within_a_second_when_it_is_silent()
     {
        let second = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = second.local_addr().unwrap().port();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::from(([127, 0, 0, 3], port)))
            .unwrap();
        let _first = socket.listen(0).unwrap();
        let mut held = Vec::new();
        // Nobody accepts at the first: when its backlog is full, the kernel drops what comes.
        let begun = loop {
            let begun = Instant::now();
            let stream = dialled(&["127.0.0.3", "127.0.0.2"], port).await;
            let stream = stream.unwrap();
            if stream.peer_addr().unwrap().ip() != Ipv4Addr::new(127, 0, 0, 3) {
                break begun;
            }
            held.push(stream);
        };
        let took = begun.elapsed();
        assert!(!held.is_empty(), "the order is the CA's");
        assert!(took >= HEAD_START, "the first had no head start: {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }

    #[tokio::test]
    async fn when_no_address_answers_the_first_ones_error_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = dialled(&["127.0.0.1", "127.0.0.4"], port)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
}
