//! Tests of the copy loop, on pipes in memory with the clock paused, and on real sockets.

use std::io;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const LINGER: Duration = Duration::from_secs(60);

fn limits() -> Limits {
    Limits {
        linger: Some(LINGER),
        idle: None,
        farewell: None,
    }
}

fn rest(application: &[u8], database: &[u8]) -> Inputs {
    Inputs {
        application: application.to_vec(),
        database: database.to_vec(),
    }
}

/// Runs the loop between two pipes; gives the far ends to a script.
async fn run<F, S>(rest: Inputs, limits: Limits, cancel: CancellationToken, script: S) -> Ended
where
    S: FnOnce(DuplexStream, DuplexStream) -> F,
    F: Future<Output = ()>,
{
    let (far_app, mut app) = duplex(4096);
    let (far_db, mut db) = duplex(4096);
    let copied = async {
        let ended = copy(&mut app, &mut db, rest, &limits, &cancel).await;
        drop((app, db));
        ended
    };
    tokio::join!(copied, script(far_app, far_db)).0
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(addr), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

async fn expect(stream: &mut (impl AsyncRead + Unpin), bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, bytes);
}

async fn expect_end(stream: &mut (impl AsyncRead + Unpin)) {
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"");
}

#[tokio::test(start_paused = true)]
async fn bytes_of_the_opening_exchange_go_first_and_count() {
    let cancel = CancellationToken::new();
    let ended = run(
        rest(b"up-", b"down-"),
        limits(),
        cancel,
        |mut app, mut db| async move {
            app.write_all(b"one").await.unwrap();
            db.write_all(b"two!").await.unwrap();
            expect(&mut db, b"up-one").await;
            expect(&mut app, b"down-two!").await;
            app.shutdown().await.unwrap();
            expect_end(&mut db).await;
            db.shutdown().await.unwrap();
            expect_end(&mut app).await;
        },
    )
    .await;
    assert_eq!((ended.up, ended.down), (6, 9));
    assert_eq!(ended.by, EndedBy::Application);
    assert!(ended.error.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_application_that_half_closes_still_gets_its_answer() {
    let ended = run(
        Inputs::default(),
        limits(),
        CancellationToken::new(),
        |mut app, mut db| async move {
            app.write_all(b"last question").await.unwrap();
            app.shutdown().await.unwrap();
            expect(&mut db, b"last question").await;
            expect_end(&mut db).await;
            db.write_all(b"answer").await.unwrap();
            expect(&mut app, b"answer").await;
            db.shutdown().await.unwrap();
            expect_end(&mut app).await;
        },
    )
    .await;
    assert_eq!(
        (ended.by, ended.up, ended.down),
        (EndedBy::Application, 13, 6)
    );
}

#[tokio::test(start_paused = true)]
async fn a_database_that_half_closes_is_still_told_the_rest() {
    let ended = run(
        Inputs::default(),
        limits(),
        CancellationToken::new(),
        |mut app, mut db| async move {
            db.shutdown().await.unwrap();
            expect_end(&mut app).await;
            app.write_all(b"rest").await.unwrap();
            expect(&mut db, b"rest").await;
            app.shutdown().await.unwrap();
            expect_end(&mut db).await;
        },
    )
    .await;
    assert_eq!((ended.by, ended.up, ended.down), (EndedBy::Database, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn after_a_half_close_silence_ends_it_and_traffic_prolongs_it() {
    let start = Instant::now();
    let ended = run(
        Inputs::default(),
        limits(),
        CancellationToken::new(),
        |mut app, mut db| async move {
            app.shutdown().await.unwrap();
            for _ in 0..3 {
                tokio::time::advance(LINGER - Duration::from_secs(1)).await;
                db.write_all(b"row").await.unwrap();
                expect(&mut app, b"row").await;
            }
            expect_end(&mut app).await;
            expect_end(&mut db).await;
        },
    )
    .await;
    assert_eq!((ended.by, ended.down), (EndedBy::Linger, 9));
    let lasted = start.elapsed();
    let expected = (LINGER - Duration::from_secs(1)) * 3 + LINGER;
    assert!(
        lasted >= expected && lasted < expected + Duration::from_secs(1),
        "{lasted:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_an_idle_limit_a_quiet_tunnel_stands_for_days() {
    let day = Duration::from_secs(86_400);
    let ended = run(
        Inputs::default(),
        limits(),
        CancellationToken::new(),
        |mut app, mut db| async move {
            tokio::time::sleep(day * 3).await;
            app.write_all(b"still here").await.unwrap();
            expect(&mut db, b"still here").await;
        },
    )
    .await;
    assert_eq!(ended.up, 10);
}

#[tokio::test(start_paused = true)]
async fn the_idle_limit_counts_from_the_last_byte_in_either_direction() {
    let idle = Duration::from_secs(10);
    let start = Instant::now();
    let limits = Limits {
        idle: Some(idle),
        ..limits()
    };
    let ended = run(
        Inputs::default(),
        limits,
        CancellationToken::new(),
        |mut app, mut db| async move {
            tokio::time::sleep(idle * 3 / 4).await;
            db.write_all(b"x").await.unwrap();
            expect(&mut app, b"x").await;
            tokio::time::sleep(idle * 3 / 4).await;
            app.write_all(b"y").await.unwrap();
            expect(&mut db, b"y").await;
            expect_end(&mut app).await;
            expect_end(&mut db).await;
        },
    )
    .await;
    assert_eq!(ended.by, EndedBy::Idle);
    let lasted = start.elapsed();
    let expected = idle * 3 / 4 * 2 + idle;
    assert!(
        lasted >= expected && lasted < expected + idle / 10,
        "{lasted:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn being_told_to_stop_ends_it_at_once() {
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let ended = run(
        Inputs::default(),
        limits(),
        cancel,
        |mut app, mut db| async move {
            app.write_all(b"q").await.unwrap();
            expect(&mut db, b"q").await;
            stop.cancel();
            expect_end(&mut app).await;
            expect_end(&mut db).await;
        },
    )
    .await;
    assert_eq!((ended.by, ended.up), (EndedBy::Cancelled, 1));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_stops_the_writer_and_not_the_other_direction() {
    let ended = run(
        Inputs::default(),
        limits(),
        CancellationToken::new(),
        |mut app, mut db| async move {
            // Pipes of 4 KiB and one buffer of 64 KiB: 1 MiB cannot be on its way.
            let flood = vec![7; 1 << 20];
            let written = tokio::time::timeout(LINGER, app.write_all(&flood)).await;
            assert!(written.is_err(), "the writer was not held back");
            db.write_all(b"other way").await.unwrap();
            expect(&mut app, b"other way").await;
            let mut got = Vec::new();
            app.shutdown().await.unwrap();
            db.read_to_end(&mut got).await.unwrap();
            assert!(got.len() > 4096 && got.iter().all(|byte| *byte == 7));
            drop(db);
        },
    )
    .await;
    assert_eq!(ended.by, EndedBy::Application);
}

#[tokio::test]
async fn ten_megabytes_each_way_arrive_whole_over_real_sockets() {
    let (mut far_app, mut app) = tcp_pair().await;
    let (mut far_db, mut db) = tcp_pair().await;
    let bytes: Vec<u8> = (0..10_u32 << 20)
        .map(|i| i.wrapping_mul(31).to_be_bytes()[2])
        .collect();
    let back: Vec<u8> = bytes.iter().rev().copied().collect();
    let cancel = CancellationToken::new();
    let limits = limits();
    let (mut app_read, mut app_write) = far_app.split();
    let (mut db_read, mut db_write) = far_db.split();
    let (mut got_up, mut got_down) = (Vec::new(), Vec::new());
    let copied = async {
        let ended = copy(&mut app, &mut db, rest(b"", b""), &limits, &cancel).await;
        drop((app, db));
        ended
    };
    let ended = tokio::join!(
        copied,
        async {
            app_write.write_all(&bytes).await.unwrap();
            app_write.shutdown().await.unwrap();
        },
        async {
            db_write.write_all(&back).await.unwrap();
            db_write.shutdown().await.unwrap();
        },
        async { db_read.read_to_end(&mut got_up).await.unwrap() },
        async { app_read.read_to_end(&mut got_down).await.unwrap() },
    )
    .0;
    assert!(got_up == bytes && got_down == back, "bytes were changed");
    assert_eq!((ended.up, ended.down), (10 << 20, 10 << 20));
}

#[tokio::test]
async fn a_reset_by_the_database_names_the_database() {
    let (far_app, mut app) = tcp_pair().await;
    let (far_db, mut db) = tcp_pair().await;
    let cancel = CancellationToken::new();
    let limits = limits();
    SockRef::from(&far_db)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    let (ended, ()) = tokio::join!(
        copy(&mut app, &mut db, Inputs::default(), &limits, &cancel),
        async { drop(far_db) }
    );
    assert_eq!(ended.by, EndedBy::Error(Face::Database));
    assert_eq!(ended.error.unwrap().kind(), io::ErrorKind::ConnectionReset);
    assert!(!ended.is_orderly);
    drop((app, far_app));
}

#[tokio::test]
async fn a_reset_by_the_application_names_the_application() {
    let (far_app, mut app) = tcp_pair().await;
    let (_far_db, mut db) = tcp_pair().await;
    SockRef::from(&far_app)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(far_app);
    let ended = copy(
        &mut app,
        &mut db,
        Inputs::default(),
        &limits(),
        &CancellationToken::new(),
    )
    .await;
    assert_eq!(ended.by, EndedBy::Error(Face::Application));
}

#[tokio::test(start_paused = true)]
async fn last_words_of_a_database_that_takes_no_more_reach_the_application() {
    /// Says something, and refuses to be written to.
    struct Deaf(&'static [u8]);
    impl AsyncRead for Deaf {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
        }
    }
    impl AsyncWrite for Deaf {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let (mut far_app, mut app) = duplex(4096);
    let mut db = Deaf(b"server is shutting down");
    let ended = copy(
        &mut app,
        &mut db,
        rest(b"query", b""),
        &limits(),
        &CancellationToken::new(),
    )
    .await;
    assert_eq!(ended.by, EndedBy::Error(Face::Database));
    assert_eq!(ended.error.unwrap().kind(), io::ErrorKind::BrokenPipe);
    expect(&mut far_app, b"server is shutting down").await;
}

#[tokio::test(start_paused = true)]
async fn without_a_linger_an_answer_comes_hours_after_a_half_close() {
    let ended = run(
        Inputs::default(),
        Limits::default(),
        CancellationToken::new(),
        |mut app, mut db| async move {
            app.shutdown().await.unwrap();
            expect_end(&mut db).await;
            tokio::time::sleep(Duration::from_secs(5 * 3600)).await;
            db.write_all(b"late").await.unwrap();
            expect(&mut app, b"late").await;
            db.shutdown().await.unwrap();
            expect_end(&mut app).await;
        },
    )
    .await;
    assert_eq!((ended.by, ended.is_orderly), (EndedBy::Application, true));
}

#[tokio::test(start_paused = true)]
async fn a_side_that_is_gone_after_its_end_is_found_while_the_other_is_silent() {
    for goes_first in [Face::Application, Face::Database] {
        let start = Instant::now();
        let ended = run(
            Inputs::default(),
            Limits::default(),
            CancellationToken::new(),
            |app, db| async move {
                let (gone, mut silent) = match goes_first {
                    Face::Application => (app, db),
                    Face::Database => (db, app),
                };
                drop(gone);
                expect_end(&mut silent).await;
                // The session ends, and with it this side's connection.
                assert!(silent.write_all(&[0; 8192]).await.is_err());
            },
        );
        let ended = tokio::time::timeout(PROBE * 3, ended).await.unwrap();
        assert!(!ended.is_orderly && start.elapsed() <= PROBE * 2);
    }
}
