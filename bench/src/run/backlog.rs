//! Watches how much a server still has to write behind: the overlay, once a second, as its metrics say.
//!
//! A server that takes more than it can write behind is quick until its memory is full. So a sustained load only
//! counts where the overlay does not grow.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The metric that is watched.
const OVERLAY: &str = "maitred_overlay_bytes ";

/// The watching thread.
#[derive(Debug)]
pub(crate) struct Backlog {
    stop: Sender<()>,
    thread: JoinHandle<Vec<u64>>,
}

impl Backlog {
    /// Watches the server at `address`, and prints what it sees.
    pub(crate) fn watch(address: SocketAddr) -> Self {
        let (stop, stopped) = channel();
        let watch = move || {
            let mut seen = Vec::new();
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                // A server without this metric, or too busy to answer, is not watched.
                let Some(bytes) = overlay(address) else { continue };
                seen.push(bytes);
                eprintln!("  {:>4} s  overlay {:>6.1} MB", seen.len(), bytes as f64 / 1e6);
            }
            seen
        };
        Backlog { stop, thread: thread::spawn(watch) }
    }

    /// Ends it. Returns the overlay's bytes, second by second.
    pub(crate) fn stop(self) -> Vec<u64> {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

/// Whether the overlay is no larger at the end than it was at `begin`, each time the mean of five seconds: it rises and
/// falls by a layer all the time. `None` where it was not watched for long enough.
pub(crate) fn growth(seen: &[u64], begin: usize) -> Option<f64> {
    let mean = |bytes: &[u64]| bytes.iter().sum::<u64>() as f64 / bytes.len() as f64;
    let at_begin = seen.get(begin..begin + 5)?;
    let at_end = &seen[seen.len() - 5..];
    (seen.len() >= begin + 10).then(|| mean(at_end) / mean(at_begin).max(1.0))
}

/// Bytes of the overlay of the server at `address`, if it tells.
pub(crate) fn overlay(address: SocketAddr) -> Option<u64> {
    overlay_bytes(&metrics(address).ok()?)
}

fn metrics(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn overlay_bytes(metrics: &str) -> Option<u64> {
    metrics.lines().find_map(|line| line.strip_prefix(OVERLAY))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overlay_is_found_among_the_metrics() {
        let metrics = "# HELP maitred_overlay_bytes Memory\n# TYPE maitred_overlay_bytes gauge\n\
                       maitred_overlay_bytes 4711\nmaitred_other 5\n";
        assert_eq!(overlay_bytes(metrics), Some(4711));
        assert_eq!(overlay_bytes("maitred_other 5\n"), None);
    }

    #[test]
    fn growth_compares_the_end_with_the_beginning() {
        let even: Vec<u64> = (0..30).map(|second| 10 + second % 5).collect();
        assert_eq!(growth(&even, 10), Some(1.0));
        let growing: Vec<u64> = (1..=30).collect();
        assert!(growth(&growing, 10).is_some_and(|growth| growth > 2.0));
        assert_eq!(growth(&even[..19], 10), None, "too short to say");
    }
}
