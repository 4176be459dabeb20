//! The queue of lines to stderr.
//!
//! The queue is bounded by its size in bytes. A line that does not fit, or that cannot be written
//! to stderr, is dropped and counted. The count is reported when a line can be written again. Only
//! the queue's own thread uses stderr, through a separate file descriptor: the lock of
//! [`std::io::stderr`] would be held while a write blocks.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// The maximum size of the waiting lines, in bytes. The lines that are being written may take the
/// same amount.
const BYTES: usize = 1 << 20;

/// Time for which lines are collected after a write, so that a busy server does not wake the thread
/// for each line.
const GATHERING: Duration = Duration::from_millis(2);

/// The pause before another attempt to write, if stderr is a non-blocking descriptor.
const PAUSE: Duration = Duration::from_millis(10);

/// A bounded queue of lines.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Notifies the thread that a line was added, or that lines must be flushed.
    arrived: Condvar,
    /// Notifies the callers of `flush` that the thread has written all lines.
    settled: Condvar,
    dropped: AtomicU64,
}

struct Waiting {
    lines: Vec<u8>,
    /// True if the thread waits for a line.
    is_idle: bool,
    /// True if a caller of `flush` waits until all lines are written.
    is_flushed: bool,
}

/// A writer of lines to a queue. Each write is one line.
pub(super) struct Line {
    queue: Arc<Queue>,
    most_bytes: usize,
}

impl Queue {
    /// Starts the thread. It calls `report` with the number of lines that were dropped since the
    /// last call.
    ///
    /// # Errors
    /// Fails if the machine has no threads or file descriptors left.
    pub(super) fn start(report: fn(u64)) -> io::Result<Arc<Self>> {
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        Self::start_on(stderr, report)
    }

    fn start_on(out: impl Write + Send + 'static, report: fn(u64)) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            waiting: Mutex::new(Waiting {
                // Adding a line then does not allocate.
                lines: Vec::with_capacity(BYTES),
                is_idle: false,
                is_flushed: false,
            }),
            arrived: Condvar::new(),
            settled: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let taken = Arc::clone(&queue);
        thread::Builder::new()
            .name("log".into())
            .spawn(move || taken.write_all(out, report))?;
        Ok(queue)
    }

    /// Returns the number of lines that were dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Returns a writer for the last line of the program, which is never dropped for lack of space.
    pub(super) fn last_line(self: &Arc<Self>) -> Line {
        Line {
            queue: Arc::clone(self),
            most_bytes: usize::MAX,
        }
    }

    /// Waits until all lines are written or dropped, for `limit` at most.
    pub(super) fn flush(&self, limit: Duration) {
        let mut waiting = self.waiting();
        waiting.is_flushed = true;
        self.arrived.notify_one();
        let is_busy = |waiting: &mut Waiting| !waiting.is_idle || !waiting.lines.is_empty();
        self.settled.wait_while_for(&mut waiting, is_busy, limit);
        waiting.is_flushed = false;
    }

    fn add(&self, line: &[u8], most_bytes: usize) {
        let mut waiting = self.waiting();
        if waiting.lines.len().saturating_add(line.len()) > most_bytes {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.lines.extend_from_slice(line);
        if waiting.is_idle {
            self.arrived.notify_one();
        }
    }

    /// Writes lines forever.
    fn write_all(&self, out: impl Write, report: fn(u64)) {
        let mut out = Output {
            out,
            is_torn: false,
        };
        let mut lines = Vec::with_capacity(BYTES);
        let mut reported = 0;
        loop {
            self.take(&mut lines);
            let mut written = 0;
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                match out.write_line(line) {
                    true => written += 1,
                    false => _ = self.dropped.fetch_add(1, Ordering::Relaxed),
                }
            }
            lines.clear();
            let dropped = self.dropped();
            if written > 0 && dropped > reported {
                report(dropped - reported);
                reported = dropped;
            }
            let mut waiting = self.waiting();
            let gathers = |waiting: &mut Waiting| !waiting.is_flushed;
            self.arrived
                .wait_while_for(&mut waiting, gathers, GATHERING);
        }
    }

    /// Waits for lines, and swaps them with an empty buffer.
    fn take(&self, lines: &mut Vec<u8>) {
        let mut waiting = self.waiting();
        waiting.is_idle = true;
        if waiting.lines.is_empty() {
            self.settled.notify_all();
        }
        self.arrived
            .wait_while(&mut waiting, |waiting| waiting.lines.is_empty());
        waiting.is_idle = false;
        std::mem::swap(&mut waiting.lines, lines);
    }

    /// Locks the waiting lines.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }
}

impl Line {
    /// Returns a writer that drops a line if there is no space for it.
    pub(super) fn of(queue: Arc<Queue>) -> Self {
        Self {
            queue,
            most_bytes: BYTES,
        }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.queue.add(line, self.most_bytes);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The destination of lines.
struct Output<W> {
    out: W,
    /// True if the last line was written only in part, so that the next one needs a line break
    /// before it.
    is_torn: bool,
}

impl<W: Write> Output<W> {
    /// Writes a line. Returns whether all of it was written.
    fn write_line(&mut self, line: &[u8]) -> bool {
        if self.is_torn && self.write(b"\n") == 0 {
            return false;
        }
        let written = self.write(line);
        self.is_torn = (1..line.len()).contains(&written);
        written == line.len()
    }

    /// Returns the number of bytes that were written before an error.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.out.write(&bytes[written..]) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(PAUSE),
                Err(_) => break,
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// An output that accepts the number of bytes that the test permits.
    struct Gate {
        permits: Receiver<usize>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.permits.recv().unwrap_or(bytes.len()).min(bytes.len());
            if count == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            let _ = self.written.send(bytes[..count].to_vec());
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated(report: fn(u64)) -> (Arc<Queue>, Sender<usize>, Receiver<Vec<u8>>) {
        let (permit, permits) = channel();
        let (written, output) = channel();
        let queue = Queue::start_on(Gate { permits, written }, report).unwrap();
        (queue, permit, output)
    }

    fn text(output: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(output.try_iter().flatten().collect()).unwrap()
    }

    fn log(queue: &Arc<Queue>, line: &str) {
        let mut out = Line::of(Arc::clone(queue));
        out.write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn lines_are_written_in_order_before_a_flush_ends() {
        let (queue, permit, output) = gated(|_| {});
        drop(permit);
        let lines: Vec<String> = (0..1000).map(|number| format!("{number}\n")).collect();
        lines.iter().for_each(|line| log(&queue, line));
        queue.flush(LIMIT);
        assert_eq!(text(&output), lines.concat());
        assert_eq!(queue.dropped(), 0);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_the_last_line_fits() {
        let (queue, permit, output) = gated(|_| {});
        let line = format!("{}\n", "x".repeat(1023));
        // Twice the maximum size of the waiting lines and of the lines that are being written.
        let sent = 4 * BYTES / line.len();
        (0..sent).for_each(|_| log(&queue, &line));
        queue.last_line().write_all(b"the last line\n").unwrap();
        drop(permit);
        queue.flush(LIMIT);
        let text = text(&output);
        let dropped = usize::try_from(queue.dropped()).unwrap();
        assert!(dropped >= sent / 2, "{dropped}");
        assert_eq!(text.matches(&line).count() + dropped, sent);
        assert!(text.ends_with("the last line\n"));
    }

    #[test]
    fn a_line_that_broke_off_ends_before_the_next_one() {
        let (queue, permit, output) = gated(|_| {});
        for permitted in [3, 0, 0, 1, 100] {
            permit.send(permitted).unwrap();
        }
        drop(permit);
        log(&queue, "broken\n");
        log(&queue, "refused\n");
        log(&queue, "whole\n");
        queue.flush(LIMIT);
        assert_eq!(text(&output), "bro\nwhole\n");
        assert_eq!(queue.dropped(), 2);
    }

    #[test]
    fn a_flush_of_an_output_that_waits_ends() {
        let (queue, permit, _output) = gated(|_| {});
        log(&queue, "line\n");
        queue.flush(Duration::from_millis(1));
        drop(permit);
    }
}
