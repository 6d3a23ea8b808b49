//! What a tunnel costs while it carries data: no memory is asked for, however many messages pass.

use std::cell::RefCell;

use allocation_counter::measure;
use proto::machine::Inputs;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::stream::{tcp_pair, tls_pair};
use crate::tunnel::{Limits, copy};

/// An application, both ends of a tunnel, and a database that says what it hears, all on one thread.
struct Steady {
    runtime: Runtime,
    app: RefCell<TcpStream>,
    _tasks: TaskTracker,
}

impl Steady {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let tasks = TaskTracker::new();
        let app = runtime.block_on(async {
            let (far_app, mut app) = tcp_pair().await;
            let (mut client, mut agent) = tls_pair().await;
            let (mut db, mut far_db) = tcp_pair().await;
            let (limits, cancel) = (Limits::default(), CancellationToken::new());
            let cancel_too = cancel.clone();
            tasks.spawn(async move {
                copy(&mut app, &mut client, Inputs::default(), &limits, &cancel).await;
            });
            tasks.spawn(async move {
                let rest = Inputs::default();
                copy(&mut agent, &mut db, rest, &limits, &cancel_too).await;
            });
            tasks.spawn(async move {
                let mut heard = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = far_db.read(&mut heard).await {
                    far_db.write_all(&heard[..length]).await.unwrap();
                }
            });
            far_app
        });
        Self {
            runtime,
            app: RefCell::new(app),
            _tasks: tasks,
        }
    }

    /// So many messages go there and come back.
    fn talk(&self, messages: usize, said: &[u8], heard: &mut [u8]) {
        let mut app = self.app.borrow_mut();
        let (mut read, mut write) = app.split();
        self.runtime.block_on(async {
            for _ in 0..messages {
                let (written, all) = tokio::join!(write.write_all(said), read.read_exact(heard));
                written.unwrap();
                all.unwrap();
            }
        });
        assert!(heard == said, "bytes were changed");
    }
}

#[test]
fn small_and_great_messages_pass_without_asking_for_memory() {
    let steady = Steady::new();
    for length in [1, 64, 20_000, 1 << 20] {
        let said = vec![7; length];
        let mut heard = vec![0; length];
        // What is asked for once, for the first of its size.
        steady.talk(50, &said, &mut heard);
        let one = measure(|| steady.talk(1, &said, &mut heard)).count_total;
        let many = measure(|| steady.talk(200, &said, &mut heard)).count_total;
        // A great message may now and then want a buffer more than a thread keeps.
        assert!(many <= one + 4, "{many} times for 200 of {length} bytes");
    }
}
