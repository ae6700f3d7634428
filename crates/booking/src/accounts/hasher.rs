//! The threads that hash passwords: few, of low priority, behind a queue that has an end.
//!
//! A hash costs tens of milliseconds of a core on purpose. A storm of logins must not take the cores from everything
//! else: it gets all of them but one, whenever nobody else wants them, and what would wait too long is refused.
//!
//! Invariants:
//! - At most as many hashes at once as there are cores less one, and at least one.
//! - At most [`WAITING_MAX`] wait for each thread, and none longer than [`WAIT_MAX`]; further ones are refused with the
//!   time after which to come back.
//! - What nobody waits for any more is not computed.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use maitred_engine::Unavailable;
use tokio::sync::oneshot;

use super::password::{Password, PasswordHash, SALT_BYTES, Workspace};

/// How many wait for each thread at most: a few seconds of work.
pub const WAITING_MAX: usize = 128;
/// How long a hash is waited for at most. A request that waits for two of them, as a change of a password does, is still
/// answered within its time, so that whoever waited is told to come back.
pub const WAIT_MAX: Duration = Duration::from_secs(4);
/// The priority of the threads, on the scale of `nice(1)`.
const NICE: i32 = 10;
/// What a hash is taken to cost until the first one is measured.
const HASH_TIME_GUESSED: Duration = Duration::from_millis(30);

/// Hashes and verifies passwords. A clone is another handle to the same threads, which start with the first password
/// and end with the last handle.
#[derive(Clone)]
pub struct Hasher(Arc<Handle>);

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("threads", &self.0.threads).finish_non_exhaustive()
    }
}

/// Ends the threads when the last one goes.
struct Handle {
    shared: Arc<Shared>,
    threads: usize,
}

struct Shared {
    line: Mutex<Line>,
    arrived: Condvar,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Job>,
    started: bool,
    closed: bool,
    /// What a hash cost lately.
    hash_time: Option<Duration>,
}

impl Line {
    /// The refusal, until a full line has been worked off.
    fn overloaded(&self) -> Unavailable {
        let hash_time = self.hash_time.unwrap_or(HASH_TIME_GUESSED);
        Unavailable::Overloaded { retry_after: hash_time * WAITING_MAX as u32 }
    }
}

/// What a thread is asked for, and where the answer goes.
enum Job {
    Make { password: Password, salt: [u8; SALT_BYTES], answer: oneshot::Sender<PasswordHash> },
    Verify { password: Password, hash: PasswordHash, answer: oneshot::Sender<bool> },
}

impl Default for Hasher {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Hasher::with_threads(cores.saturating_sub(1).max(1))
    }
}

impl Hasher {
    /// With this many threads.
    pub fn with_threads(threads: usize) -> Self {
        let shared = Shared { line: Mutex::default(), arrived: Condvar::new() };
        Hasher(Arc::new(Handle { shared: Arc::new(shared), threads }))
    }

    /// The hash of a password, with a salt of random bits.
    ///
    /// # Errors
    /// [`Unavailable::Overloaded`] when too many wait.
    pub async fn make(
        &self,
        password: Password,
        salt: [u8; SALT_BYTES],
    ) -> Result<PasswordHash, Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.enter(Job::Make { password, salt, answer })?;
        self.wait(answered).await
    }

    /// Whether `hash` is the one of `password`. Without a hash it is not, after the same work: so that an answer's
    /// time does not tell whether there is an account.
    ///
    /// # Errors
    /// [`Unavailable::Overloaded`] when too many wait.
    pub async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, Unavailable> {
        let (answer, answered) = oneshot::channel();
        match hash {
            Some(hash) => self.enter(Job::Verify { password, hash, answer })?,
            None => {
                self.make(password, [0; SALT_BYTES]).await?;
                return Ok(false);
            }
        }
        self.wait(answered).await
    }

    /// What was asked for; what nobody waits for any more is not computed.
    async fn wait<T>(&self, answered: oneshot::Receiver<T>) -> Result<T, Unavailable> {
        match tokio::time::timeout(WAIT_MAX, answered).await {
            Ok(answered) => answered.map_err(|_| Unavailable::Draining),
            Err(_) => Err(self.0.shared.lock().overloaded()),
        }
    }

    fn enter(&self, job: Job) -> Result<(), Unavailable> {
        let Handle { shared, threads } = &*self.0;
        let mut line = shared.lock();
        if line.waiting.len() >= WAITING_MAX * threads {
            line.waiting.retain(|job| !job.is_abandoned());
        }
        if line.waiting.len() >= WAITING_MAX * threads {
            return Err(line.overloaded());
        }
        if !line.started {
            line.started = true;
            for number in 0..*threads {
                let shared = Arc::clone(shared);
                let thread = thread::Builder::new().name(format!("maitred-hash-{number}"));
                thread.spawn(move || shared.work()).expect("a thread can be started");
            }
        }
        line.waiting.push_back(job);
        shared.arrived.notify_one();
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut line = self.shared.lock();
        line.closed = true;
        line.waiting.clear();
        self.shared.arrived.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Line> {
        // Nothing here leaves the line half changed.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        // Of this thread: on Linux a priority is a thread's, and 0 names the one that asks.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::warn!(error = %error, "passwords are hashed at the priority of everything else");
        }
        let mut workspace = Workspace::default();
        while let Some(job) = self.next() {
            let begun = Instant::now();
            job.compute(&mut workspace);
            let took = begun.elapsed();
            let mut line = self.lock();
            line.hash_time = Some(line.hash_time.map_or(took, |before| (before * 7 + took) / 8));
        }
    }

    /// Waits for the next job; `None` when nobody can ask any more.
    fn next(&self) -> Option<Job> {
        let mut line = self.lock();
        loop {
            if line.closed {
                return None;
            }
            match line.waiting.pop_front() {
                Some(job) if job.is_abandoned() => {}
                Some(job) => return Some(job),
                None => line = self.arrived.wait(line).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Job {
    /// Whether the one who asked has gone.
    fn is_abandoned(&self) -> bool {
        match self {
            Job::Make { answer, .. } => answer.is_closed(),
            Job::Verify { answer, .. } => answer.is_closed(),
        }
    }

    /// Computes the answer. Whoever asked may go meanwhile: then nobody hears it.
    fn compute(self, workspace: &mut Workspace) {
        match self {
            Job::Make { password, salt, answer } => {
                let _ = answer.send(PasswordHash::make(&password, &salt, workspace));
            }
            Job::Verify { password, hash, answer } => {
                let _ = answer.send(hash.verify(&password, workspace));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(future)
    }

    #[test]
    fn passwords_are_hashed_and_verified() {
        let hasher = Hasher::with_threads(2);
        block_on(async {
            let hash = hasher.make(Password::new("one"), [1; SALT_BYTES]).await.expect("room");
            assert_eq!(hasher.verify(Password::new("one"), Some(hash.clone())).await, Ok(true));
            assert_eq!(hasher.verify(Password::new("two"), Some(hash)).await, Ok(false));
            assert_eq!(hasher.verify(Password::new("one"), None).await, Ok(false));
        });
    }

    #[test]
    fn a_login_without_an_account_takes_as_long_as_one_with_a_wrong_password() {
        let hasher = Hasher::with_threads(1);
        block_on(async {
            let hash = hasher.make(Password::new("one"), [1; SALT_BYTES]).await.expect("room");
            let mut took = [Vec::new(), Vec::new()];
            for _ in 0..9 {
                for (hash, took) in [Some(hash.clone()), None].into_iter().zip(&mut took) {
                    let begun = Instant::now();
                    assert_eq!(hasher.verify(Password::new("two"), hash).await, Ok(false));
                    took.push(begun.elapsed());
                }
            }
            let [with, without] = took.map(|mut took| {
                took.sort_unstable();
                took[took.len() / 2]
            });
            assert!(
                without * 2 > with && with * 2 > without,
                "{with:?} with an account, {without:?} without"
            );
        });
    }

    #[test]
    fn a_storm_is_refused_at_the_end_of_the_line_and_what_nobody_waits_for_is_not_computed() {
        let hasher = Hasher::with_threads(1);
        let (mut waiting, mut refused) = (Vec::new(), 0);
        for _ in 0..WAITING_MAX + 32 {
            let (answer, answered) = oneshot::channel();
            match hasher.enter(Job::Make { password: Password::new("x"), salt: [0; SALT_BYTES], answer }) {
                Ok(()) => waiting.push(answered),
                Err(Unavailable::Overloaded { retry_after }) => {
                    assert!(retry_after > Duration::ZERO && retry_after < Duration::from_secs(60));
                    refused += 1;
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        // The thread may have begun a few meanwhile.
        assert!((1..=32).contains(&refused), "{refused} were refused");
        drop(waiting);
        let begun = Instant::now();
        block_on(hasher.make(Password::new("y"), [0; SALT_BYTES])).expect("the line is empty again");
        assert!(begun.elapsed() < HASH_TIME_GUESSED * WAITING_MAX as u32, "{:?}", begun.elapsed());
    }

    #[test]
    fn who_waits_too_long_is_told_when_to_come_back() {
        let hasher = Hasher::with_threads(1);
        hasher.0.shared.lock().started = true; // so that nobody works
        let answered = block_on(hasher.verify(Password::new("x"), None));
        assert!(matches!(answered, Err(Unavailable::Overloaded { .. })), "{answered:?}");
        let waiting = &hasher.0.shared.lock().waiting;
        assert!(waiting.iter().all(Job::is_abandoned), "nobody waits for it any more");
    }

    #[test]
    fn who_waits_when_it_ends_is_told_so() {
        let hasher = Hasher::with_threads(1);
        let (answer, answered) = oneshot::channel();
        hasher.0.shared.lock().started = true; // so that nobody works
        hasher
            .enter(Job::Make { password: Password::new("x"), salt: [0; SALT_BYTES], answer })
            .expect("room");
        drop(hasher);
        assert!(block_on(answered).is_err());
    }
}
