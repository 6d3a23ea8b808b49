//! The plain relay: copies bytes and does nothing else. It is what a tunnel could reach if safety cost nothing.
//!
//! Two processes of it stand where a tunnel's two ends stand, each with one single-threaded runtime a core.

use std::net::SocketAddr;
use std::thread;

use anyhow::{Context as _, Result};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{LocalSet, spawn_local};

const BACKLOG: u32 = 4096;
const BUFFER: usize = 64 * 1024;

/// Relays from one address to another until the process is killed.
pub(crate) fn run(listen: SocketAddr, connect: SocketAddr) -> Result<()> {
    let cores = thread::available_parallelism()?.get();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, accept(listen, connect))
    };
    let threads: Vec<_> = (0..cores).map(|_| thread::spawn(work)).collect();
    for one in threads {
        one.join()
            .ok()
            .context("a thread of the relay panicked")??;
    }
    Ok(())
}

async fn accept(listen: SocketAddr, connect: SocketAddr) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(listen)?;
    let listener = socket.listen(BACKLOG)?;
    loop {
        let (near, _) = listener.accept().await?;
        // A connection that breaks ends alone.
        spawn_local(async move { drop(relay(near, connect).await) });
    }
}

async fn relay(mut near: TcpStream, connect: SocketAddr) -> std::io::Result<()> {
    near.set_nodelay(true)?;
    let mut far = TcpStream::connect(connect).await?;
    far.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER, BUFFER).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use e2e::wait::{PATIENCE, until};

    use super::*;
    use crate::load::{bulk_down, bulk_up, first_byte};
    use crate::service::Service;

    #[test]
    fn bytes_pass_both_ways() {
        let service = Service::start().unwrap().address();
        let listen = e2e::place::free_port_at(service.ip()).unwrap();
        let listen = SocketAddr::new(service.ip(), listen);
        thread::spawn(move || run(listen, service));
        until("the relay", PATIENCE, || Ok(first_byte(listen).ok())).unwrap();
        bulk_up(listen, 1 << 20).unwrap();
        bulk_down(listen, 1 << 20).unwrap();
    }
}
