//! Tests of who serves which connection.

use std::thread::ThreadId;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;

use super::*;
use crate::accept::Listener;

/// A connection that tells its thread, echoes one byte and ends.
async fn life(mut socket: Socket, threads: mpsc::UnboundedSender<ThreadId>) {
    threads.send(thread::current().id()).unwrap();
    let byte = socket.read_u8().await.unwrap();
    socket.write_u8(byte).await.unwrap();
}

/// One end as it is accepted, and the other.
fn pair() -> (Accepted, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    (Accepted::Unix(near.into_std().unwrap()), far)
}

#[tokio::test]
async fn connections_are_dealt_out_evenly_and_each_stays_on_its_thread() {
    let crew = Crew::on(3).unwrap();
    let (told, mut threads) = mpsc::unbounded_channel();
    let mut ends = Vec::new();
    for _ in 0..6 {
        let (near, far) = pair();
        let told = told.clone();
        crew.serve(near, |socket, _| life(socket, told)).unwrap();
        ends.push(far);
    }
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(threads.recv().await.unwrap());
    }
    for thread in &seen {
        let times = seen.iter().filter(|other| *other == thread).count();
        assert_eq!(times, 2, "{seen:?}");
    }
    assert!(seen.contains(&thread::current().id()), "{seen:?}");
    assert_eq!(crew.len(), 6);
    for end in &mut ends {
        end.write_u8(7).await.unwrap();
        assert_eq!(end.read_u8().await.unwrap(), 7);
    }
    crew.close();
    crew.wait().await;
    assert!(crew.is_empty());
}

#[tokio::test]
async fn a_core_whose_connections_have_ended_gets_the_next() {
    let crew = Crew::on(2).unwrap();
    let (told, mut threads) = mpsc::unbounded_channel();
    let (here, _stays) = pair();
    let first = told.clone();
    crew.serve(here, |socket, _| life(socket, first)).unwrap();
    let first = threads.recv().await.unwrap();
    for _ in 0..3 {
        let (near, mut far) = pair();
        let told = told.clone();
        crew.serve(near, |socket, _| life(socket, told)).unwrap();
        assert_ne!(threads.recv().await.unwrap(), first);
        far.write_u8(1).await.unwrap();
        far.read_u8().await.unwrap();
        while crew.len() > 1 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_tcp_connection_is_served_where_it_is_watched() {
    let crew = Crew::on(2).unwrap();
    let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (told, mut threads) = mpsc::unbounded_channel();
    let mut ends = Vec::new();
    for _ in 0..2 {
        let end = TcpStream::connect(address).await.unwrap();
        let told = told.clone();
        let accepted = listener.accept().await.unwrap();
        crew.serve(accepted, |socket, peer| {
            assert_eq!(peer.addr, end.local_addr().ok());
            life(socket, told)
        })
        .unwrap();
        ends.push(end);
    }
    assert_ne!(threads.recv().await, threads.recv().await);
    for end in &mut ends {
        end.write_u8(9).await.unwrap();
        assert_eq!(end.read_u8().await.unwrap(), 9);
    }
}

#[test]
fn a_core_serves_its_own_while_the_one_that_accepts_is_busy() {
    use std::io::{Read as _, Write as _};
    let accepting = Builder::new_current_thread().enable_all().build().unwrap();
    let (told, _threads) = mpsc::unbounded_channel();
    let (crew, mut ends) = accepting.block_on(async {
        let crew = Crew::on(2).unwrap();
        let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut ends = Vec::new();
        for _ in 0..2 {
            ends.push(std::net::TcpStream::connect(address).unwrap());
            let (accepted, told) = (listener.accept().await.unwrap(), told.clone());
            crew.serve(accepted, |socket, _| life(socket, told))
                .unwrap();
        }
        (crew, ends)
    });
    // Nothing runs the accepting runtime from here on: it serves the first connection, another one the second.
    let mut end = ends.pop().unwrap();
    end.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    end.write_all(&[9]).unwrap();
    let mut heard = [0];
    end.read_exact(&mut heard).unwrap();
    assert_eq!(heard, [9]);
    drop(crew);
}

#[tokio::test]
async fn threads_end_with_the_crew() {
    let crew = Crew::on(2).unwrap();
    let handle = crew.cores.last().unwrap().elsewhere.clone().unwrap();
    let task = handle.spawn(std::future::pending::<()>());
    drop(crew);
    // A runtime that ends ends its tasks.
    assert!(task.await.unwrap_err().is_cancelled());
}
