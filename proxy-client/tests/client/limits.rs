//! Limits, and the end of the program.

use std::time::Duration;

use daemon::exit::Exit;
use daemon::shutdown::Signal;
use tokio::net::TcpStream;

use crate::agent::GREETING;
use crate::world::{PATIENCE, World, assert_echoes, error, expect_reset, first_words};

#[tokio::test]
async fn a_connection_over_the_limit_hears_too_many_connections_and_a_later_one_works() {
    let (world, _) = World::new().await;
    let mut config = world.config(vec![world.instance("db1")]);
    config.max_connections = Some(1);
    let client = world.client_of(config).await;
    let mut first = client.connect().await;
    assert_eq!(first_words(&mut first).await, GREETING);
    let (number, text) = error(&client.heard().await);
    assert_eq!(number, 1040);
    assert!(
        text.contains("Too many connections") && text.contains("allows 1"),
        "{text}"
    );
    assert_echoes(&mut first).await;
    drop(first);
    client.works_after().await;
}

#[tokio::test]
async fn a_session_that_ends_within_the_drain_time_makes_a_good_end() {
    let (world, _) = World::new().await;
    let mut config = world.config(vec![world.instance("db1")]);
    config.stop.drain_for = PATIENCE;
    let mut client = world.client_of(config).await;
    let mut open = client.connect().await;
    assert_eq!(first_words(&mut open).await, GREETING);
    let running = client.running.take().unwrap();
    client.shutdown.request(Signal::Terminate);
    let app = async {
        let address = &client.mounts[0].1;
        let (number, text) = loop {
            let mut late = TcpStream::connect(address).await.unwrap();
            let heard = first_words(&mut late).await;
            if heard != GREETING {
                break error(&heard);
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(number, 1053, "a number that pools take for passing");
        assert!(text.ends_with("[draining]"), "{text}");
        assert_echoes(&mut open).await;
        drop(open);
    };
    let (exit, ()) = tokio::join!(running.until_stopped(), app);
    assert_eq!(exit, Exit::Success);
}

#[tokio::test]
async fn sessions_that_outstay_the_drain_time_are_cut_and_the_exit_code_says_so() {
    let (world, _) = World::new().await;
    let mut config = world.config(vec![world.instance("db1")]);
    config.stop.drain_for = Duration::from_millis(50);
    let mut client = world.client_of(config).await;
    let mut open = client.connect().await;
    assert_eq!(first_words(&mut open).await, GREETING);
    let running = client.running.take().unwrap();
    client.shutdown.request(Signal::Terminate);
    assert_eq!(
        running.until_stopped().await,
        Exit::Signalled(Signal::Terminate)
    );
    expect_reset(&mut open).await;
}

#[tokio::test]
async fn the_exit_code_can_be_zero_whatever_was_open_and_a_second_signal_ends_at_once() {
    let (world, _) = World::new().await;
    let mut config = world.config(vec![world.instance("db1")]);
    config.stop.drain_for = Duration::from_secs(3600);
    config.stop.exit_zero = true;
    let mut client = world.client_of(config).await;
    let mut open = client.connect().await;
    assert_eq!(first_words(&mut open).await, GREETING);
    let running = client.running.take().unwrap();
    client.shutdown.request(Signal::Terminate);
    client.shutdown.request(Signal::Terminate);
    let exit = tokio::time::timeout(PATIENCE, running.until_stopped()).await;
    assert_eq!(exit.unwrap(), Exit::Success);
}
