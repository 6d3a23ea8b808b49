//! Tests of one direction: what it holds, and how much it moves at a time.

use std::future::poll_fn;
use std::task::Waker;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const SOUND: Reader = Reader {
    is_broken: false,
    is_done: false,
    farewell: None,
};

#[tokio::test]
async fn an_idle_direction_holds_no_buffer_and_one_that_waits_does() {
    let (mut far_app, mut app) = duplex(4096);
    let (mut far_db, mut db) = duplex(16);
    let mut direction = Direction::new(Vec::new());
    let mut step = |app: &mut DuplexStream, db: &mut DuplexStream| {
        direction.poll(app, SOUND, db, &mut Context::from_waker(Waker::noop()));
        direction.holds_nothing()
    };
    assert!(step(&mut app, &mut db), "held before the first byte");
    far_app.write_all(&[1; 20]).await.unwrap();
    assert!(!step(&mut app, &mut db), "20 bytes do not fit a pipe of 16");
    let before = crate::buffer::kept();
    far_db.read_exact(&mut [0; 16]).await.unwrap();
    assert!(step(&mut app, &mut db), "held when all was written");
    assert_eq!(
        crate::buffer::kept(),
        before + 1,
        "it goes back to the thread"
    );
    far_db.read_exact(&mut [0; 4]).await.unwrap();
}

#[tokio::test]
async fn a_busy_direction_moves_eight_records_at_a_time() {
    /// Counts the calls that write to it.
    #[derive(Default)]
    struct Counted(Vec<usize>);
    impl AsyncWrite for Counted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(bytes.len());
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    /// Gives a record at a time.
    struct Records(usize);
    impl AsyncRead for Records {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0 > 0 {
                self.0 -= 1;
                buf.put_slice(&[3; 16 * 1024]);
            }
            Poll::Ready(Ok(()))
        }
    }
    let mut reader = Records(16);
    let mut writer = Counted::default();
    let mut direction = Direction::new(Vec::new());
    poll_fn(|cx| {
        direction.poll(&mut reader, SOUND, &mut writer, cx);
        if direction.state.is_over() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    assert_eq!(writer.0, [128 * 1024; 2]);
}

#[tokio::test]
async fn bytes_do_not_stay_in_a_writer_that_keeps_them_until_it_is_flushed() {
    let (mut far_app, mut app) = duplex(4096);
    let (mut far_db, db) = duplex(4096);
    let mut db = tokio::io::BufWriter::new(db);
    let mut direction = Direction::new(Vec::new());
    far_app.write_all(b"query").await.unwrap();
    direction.poll(
        &mut app,
        SOUND,
        &mut db,
        &mut Context::from_waker(Waker::noop()),
    );
    let mut got = [0; 5];
    let mut buf = ReadBuf::new(&mut got);
    let read = Pin::new(&mut far_db).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
    assert!(read.is_ready(), "still in the writer");
    assert_eq!(buf.filled(), b"query");
}

#[test]
fn the_last_five_bytes_are_known_however_a_stream_is_cut() {
    let stream: Vec<u8> = (0..40).collect();
    for size in 1..=stream.len() {
        let mut tail = [0; 5];
        for part in stream.chunks(size) {
            keep_last(&mut tail, part);
            keep_last(&mut tail, b"");
        }
        assert_eq!(tail, [35, 36, 37, 38, 39], "{size}");
    }
}
