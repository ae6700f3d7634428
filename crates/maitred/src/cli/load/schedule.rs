//! The open loop's clock: wakes each waiting connection at the instant its request is due.
//!
//! Tokio's timers tick in milliseconds, which at 5,000 arrivals a second would send them in bursts of five and add
//! half a millisecond to every latency. So the due instants are kept by the kernel's timer (`timerfd`), which
//! stands among the sockets in the same wait and is exact to microseconds.
//!
//! Invariant: on one schedule, due instants are asked for in rising order; the queue is therefore sorted.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// The clock of one generator thread.
#[derive(Debug)]
pub(super) struct Schedule {
    timer: AsyncFd<OwnedFd>,
    waiting: Mutex<VecDeque<(Instant, Waker)>>,
}

impl Schedule {
    /// A clock nobody waits for yet. To be called within the thread's runtime.
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "its replacement is unsafe; an OwnedFd is never closed while it is borrowed"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Schedule { timer, waiting: Mutex::new(VecDeque::new()) })
    }

    /// Waits until `due`; at once if that is past.
    pub(super) async fn until(&self, due: Instant) -> io::Result<()> {
        let mut queued = false;
        poll_fn(|context| {
            if Instant::now() >= due {
                return Poll::Ready(Ok(()));
            }
            if !queued {
                queued = true;
                return match self.enqueue(due, context.waker().clone()) {
                    Ok(()) => Poll::Pending,
                    Err(error) => Poll::Ready(Err(error)),
                };
            }
            // Woken by something else: still in the queue.
            Poll::Pending
        })
        .await
    }

    /// Wakes who is due, for ever. Runs beside the connections; ends only by an error.
    pub(super) async fn keep(&self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            match rustix::io::read(self.timer.get_ref(), &mut [0_u8; 8]) {
                Ok(_expirations) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    ready.clear_ready();
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            ready.clear_ready();
            self.wake_due()?;
        }
    }

    fn enqueue(&self, due: Instant, waker: Waker) -> io::Result<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let first = waiting.is_empty();
        assert!(waiting.back().is_none_or(|(before, _)| *before <= due), "due instants must rise");
        waiting.push_back((due, waker));
        if first { self.arm(due) } else { Ok(()) }
    }

    fn wake_due(&self) -> io::Result<()> {
        let now = Instant::now();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, waker)) = waiting.pop_front_if(|(due, _)| *due <= now) {
            waker.wake();
        }
        match waiting.front() {
            Some((due, _)) => self.arm(*due),
            None => Ok(()),
        }
    }

    fn arm(&self, due: Instant) -> io::Result<()> {
        // Zero would disarm it.
        let nanos = due.saturating_duration_since(Instant::now()).as_nanos().max(1);
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        let value = Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        rustix::time::timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn waiters_wake_in_order_and_never_early() {
        let schedule = Arc::new(Schedule::new().unwrap());
        let began = Instant::now();
        let woken = Arc::new(Mutex::new(Vec::new()));
        let waiters: Vec<_> = (0..50_u64)
            .map(|number| {
                let (schedule, woken) = (Arc::clone(&schedule), Arc::clone(&woken));
                tokio::spawn(async move {
                    let due = began + Duration::from_micros(number * 300);
                    schedule.until(due).await.unwrap();
                    assert!(Instant::now() >= due);
                    woken.lock().unwrap().push(number);
                })
            })
            .collect();
        let keeper = tokio::spawn(async move { schedule.keep().await });
        for waiter in waiters {
            tokio::time::timeout(Duration::from_secs(10), waiter).await.expect("it wakes").unwrap();
        }
        keeper.abort();
        assert_eq!(*woken.lock().unwrap(), (0..50).collect::<Vec<u64>>());
    }

    #[tokio::test]
    async fn what_is_past_does_not_wait_for_the_clock() {
        let schedule = Schedule::new().unwrap();
        // Nobody keeps this clock: only an instant answer can come.
        schedule.until(Instant::now()).await.unwrap();
        assert!(schedule.waiting.lock().unwrap().is_empty());
    }
}
