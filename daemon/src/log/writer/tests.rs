use std::io::{PipeReader, Read as _, pipe};
use std::os::fd::AsFd as _;
use std::time::Duration;

use super::super::Style;
use super::super::queue::{MAX_BYTES, MAX_LINES};
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn output() -> (PipeReader, Output) {
    let (reader, writer) = pipe().unwrap();
    (reader, Output::new(writer.as_fd()))
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// All lines that the output has written.
fn lines(mut reader: PipeReader, output: Output) -> Vec<String> {
    // The thread lives on with its copy of the pipe: a line of the test's own ends what is read.
    let read = thread::spawn(move || {
        let (mut text, mut buffer) = (Vec::new(), [0; 65536]);
        while !text.ends_with(b"\nend\n") && text != b"end\n" {
            let read = reader.read(&mut buffer).unwrap();
            text.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8(text).unwrap()
    });
    output.queue.wait_idle(soon());
    output.queue.push(b"end\n");
    let text = read.join().unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.pop();
    lines
}

fn number(line: &str) -> Option<u64> {
    line.strip_prefix("line ")?.split(' ').next()?.parse().ok()
}

/// The numbers of whole lines, in their order, and how many lines the notices call dropped.
fn told(lines: &[String]) -> (Vec<u64>, u64) {
    let (mut numbers, mut missing) = (Vec::new(), 0);
    for line in lines {
        match number(line) {
            Some(number) => {
                assert!(line.ends_with(" whole"), "{line:.80}");
                numbers.push(number);
            }
            None => {
                let words: Vec<&str> = line.split_whitespace().collect();
                assert!(
                    line.contains("dropped because the log was not read"),
                    "{line:.80}"
                );
                missing += words[2].parse::<u64>().unwrap();
            }
        }
    }
    (numbers, missing)
}

#[test]
fn lines_keep_their_order_and_stay_whole_while_many_threads_log() {
    let (reader, output) = output();
    assert!(output.start());
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let queue = output.queue.clone();
            scope.spawn(move || {
                for at in 0..500 {
                    let filler = "x".repeat(usize::try_from(at % 97).unwrap());
                    queue.push(format!("line {} {filler} whole\n", thread * 1000 + at).as_bytes());
                }
            });
        }
    });
    let (numbers, missing) = told(&lines(reader, output));
    assert_eq!((numbers.len(), missing), (2000, 0));
    for thread in 0..4 {
        let own = numbers.iter().filter(|number| **number / 1000 == thread);
        assert!(own.is_sorted(), "{numbers:?}");
    }
}

#[test]
fn a_pipe_that_nobody_reads_stops_nobody_and_what_was_dropped_is_told_once_it_is_read() {
    for (size, count) in [(20, 3 * MAX_LINES), (3000, 2 * MAX_BYTES / 3000)] {
        let (reader, output) = output();
        assert!(output.start());
        let filler = "x".repeat(size);
        for at in 0..count {
            output
                .queue
                .push(format!("line {at} {filler} whole\n").as_bytes());
        }
        let begun = Instant::now();
        output.flush(begun + Duration::from_millis(100));
        assert!(begun.elapsed() < PATIENCE);
        assert!(!output.queue.is_idle());
        let lines = lines(reader, output);
        let (numbers, missing) = told(&lines);
        assert!(numbers.is_sorted() && missing > 0);
        let notices = lines.iter().filter(|line| number(line).is_none()).count();
        assert_eq!(notices, 1, "one notice for one gap");
        // The line with which the test ends may be one of those that were dropped.
        let all = u64::try_from(numbers.len()).unwrap() + missing;
        assert!(
            (count as u64..=count as u64 + 1).contains(&all),
            "{all} of {count}"
        );
    }
}

#[test]
fn a_line_larger_than_the_queue_is_dropped_and_told_and_the_next_one_is_written() {
    let (reader, output) = output();
    assert!(output.start());
    output.queue.push(&vec![b'x'; MAX_BYTES + 1]);
    output.queue.wait_idle(soon());
    output.queue.push(b"line 1 whole\n");
    assert_eq!(told(&lines(reader, output)), (vec![1], 1));
}

#[test]
fn a_nonblocking_output_gets_every_line_whole() {
    let (reader, writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let output = Output::new(writer.as_fd());
    assert!(output.start());
    let filler = "x".repeat(5000);
    for at in 0..150 {
        output
            .queue
            .push(format!("line {at} {filler} whole\n").as_bytes());
    }
    let (numbers, missing) = told(&lines(reader, output));
    assert_eq!((numbers, missing), ((0..150).collect(), 0));
}

#[test]
fn a_reader_that_has_gone_ends_nothing_and_every_line_is_counted() {
    let (reader, output) = output();
    drop(reader);
    assert!(output.start());
    let before = dropped().get();
    for _ in 0..10 {
        output.queue.push(b"line\n");
    }
    output.flush(soon());
    assert!(output.queue.is_idle());
    assert!(dropped().get() >= before + 10);
}

#[test]
fn after_failed_writes_one_notice_stands_before_the_next_line_on_a_line_of_its_own() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (style, expected) in [
        (Style::Text, "  WARN 2 log lines"),
        (Style::Json, "\"dropped\":2"),
    ] {
        let queue = LineQueue::default();
        queue.set_style(style);
        let writable = file.reopen().unwrap();
        writable.set_len(0).unwrap();
        let read_only = File::open(file.path()).unwrap();
        let mut writer = Writer::new(Some(read_only), queue);
        writer.write(b"lost\n");
        writer.write(b"lost\n");
        writer.file = Some(writable);
        writer.is_cut = true;
        writer.write(b"line\n");
        let text = std::fs::read_to_string(file.path()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[2]), (3, "", "line"), "{text}");
        assert!(lines[1].contains(expected), "{text}");
        assert!(lines[1].contains("could not be written"), "{text}");
    }
}

#[test]
fn an_output_without_its_thread_is_written_at_the_end() {
    let (reader, output) = output();
    output.queue.push(b"line 1 whole\n");
    output.queue.push(b"line 2 whole\n");
    output.flush(soon());
    assert!(output.queue.is_idle());
    assert_eq!(told(&lines(reader, output)), (vec![1, 2], 0));
}
