//! A listener at work: who connects is admitted, told why not, or told that the program stops.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use transport::accept::{Listener, accept_loop};
use transport::socket::{Peer, Socket};

use super::super::Workers;
use crate::session::{self, Served};

/// Strangers of one listener who are told so at the same time; beyond, they are closed without a word.
const STRANGERS: usize = 64;

/// Accepts connections for whoever the listener belongs to at that moment.
pub(super) async fn accept(
    listener: Listener,
    target: Arc<ArcSwap<Served>>,
    workers: Workers,
    ended: CancellationToken,
) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    let (limited, most) = (Arc::clone(&target), workers.most);
    let (draining, tasks) = (workers.draining.clone(), workers.tasks.clone());
    let on_connection = move |socket: Socket, peer: Peer, permit: OwnedSemaphorePermit| {
        let accepted = Instant::now();
        let (served, strangers) = (target.load_full(), Arc::clone(&strangers));
        let (is_draining, tasks) = (draining.is_cancelled(), tasks.clone());
        async move {
            if is_draining {
                drop(permit);
                // Not a session: the drain does not wait for it.
                if let Ok(telling) = strangers.try_acquire_owned() {
                    tasks.spawn(async move {
                        session::draining(socket, served).await;
                        drop(telling);
                    });
                }
                return;
            }
            match served.config.callers.admit(peer) {
                Ok(()) => session::run(socket, (peer, accepted), served).await,
                Err(stranger) => {
                    // Who is not served takes no place from those who are.
                    drop(permit);
                    if let Ok(_telling) = strangers.try_acquire() {
                        session::turn_away(socket, stranger, served).await;
                    }
                }
            }
        }
    };
    let on_limit = move |socket, _| session::over_limit(socket, most, limited.load_full());
    let (permits, sessions) = (Arc::clone(&workers.permits), &workers.sessions);
    accept_loop(listener, permits, ended, sessions, on_connection, on_limit).await;
}
