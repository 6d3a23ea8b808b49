//! Several addresses of one instance: in the CA's order, the next one after a short head start.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use transport::error::DialError;
use transport::socket::{Names, Proxies, TcpOptions, dial_through};

/// How long an address is waited for before the next one is tried beside it.
const HEAD_START: Duration = Duration::from_millis(300);

/// The first connection that succeeds.
pub(super) async fn any(
    addresses: &[String],
    port: u16,
    proxies: &Proxies,
    options: &TcpOptions,
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    let way = Arc::new((proxies.clone(), *options));
    let mut waiting = addresses.iter();
    let mut attempts: JoinSet<Result<TcpStream, DialError>> = JoinSet::new();
    let mut failed = None;
    loop {
        if let Some(address) = waiting.next() {
            let (address, way) = (address.clone(), Arc::clone(&way));
            attempts.spawn(async move {
                let (proxies, options) = &*way;
                dial_through((proxies, &Names::default()), &address, port, options, deadline).await
            });
        }
        let is_last = waiting.len() == 0;
        let ended = if is_last {
            attempts.join_next().await
        } else {
            match timeout(HEAD_START, attempts.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            }
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            // The first address's error is the one that people look for.
            Some(Ok(Err(error))) => {
                failed.get_or_insert(error);
            }
            Some(Err(_)) => {}
            None if is_last => {
                let target = format!("{}:{port}", addresses.join(", "));
                return Err(failed.unwrap_or(DialError::Deadline { target }));
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::net::TcpListener;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over_at_once() {
        let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let begun = Instant::now();
        let addresses = ["127.0.0.3".to_owned(), "127.0.0.2".to_owned()];
        let stream = any(
            &addresses,
            port,
            &Proxies::default(),
            &TcpOptions::default(),
            soon(),
        )
        .await;
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
        let addresses = ["127.0.0.3".to_owned(), "127.0.0.2".to_owned()];
        let (direct, options) = (Proxies::default(), TcpOptions::default());
        let mut held = Vec::new();
        // Nobody accepts at the first: when its backlog is full, the kernel drops what comes.
        let begun = loop {
            let begun = Instant::now();
            let stream = any(&addresses, port, &direct, &options, soon()).await;
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
        let addresses = ["127.0.0.1".to_owned(), "127.0.0.4".to_owned()];
        let error = any(
            &addresses,
            port,
            &Proxies::default(),
            &TcpOptions::default(),
            soon(),
        )
        .await
        .unwrap_err();
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
}
