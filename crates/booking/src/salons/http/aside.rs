//! Questions about much time are worked out on threads that answer nobody else; small ones where they are asked, since
//! the way there and back takes longer than they do.
//!
//! Invariant: at most as many at once as there are cores less one, and at least one; who would wait for longer than
//! [`ASIDE_WAIT_MAX`] is refused.

use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use jiff::civil::Date;
use maitred_core::{Read, Seq, TenantNumber};
use maitred_engine::Unavailable;
use maitred_web::Problem;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use uuid::Uuid;

use crate::record::Kind;
use crate::salons::view;

/// The most days of employees that a question is about which is worked out where it is asked: a millisecond or two, and 50
/// where all of them are booked out.
pub const EMPLOYEE_DAYS_HERE_MAX: usize = 1_000;

/// How long a question waits for its turn at most.
pub const ASIDE_WAIT_MAX: Duration = Duration::from_secs(3);

/// Who is worked for at the moment.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new(cores.saturating_sub(1).max(1))
});

/// How many days of employees a question about these local days is about: of one employee, or of all that a salon has. How
/// many it had once is not counted: a question about the past is taken for a long one.
pub(super) fn employee_days(
    view: &dyn Read,
    tenant: TenantNumber,
    (from, to): (Date, Date),
    employee: Option<Uuid>,
    as_of: Option<Seq>,
) -> usize {
    if as_of.is_some() && employee.is_none() {
        return usize::MAX;
    }
    let days = usize::try_from(to.duration_since(from).as_hours() / 24).unwrap_or(0);
    let employees = employee.map_or_else(|| view::count(view, tenant, Kind::Employee), |_| 1);
    employees.saturating_mul(days)
}

/// Works out what is about so many days of employees: here, or aside if it takes long.
///
/// # Errors
/// 503 where too many wait, 500 where it panicked aside.
pub(super) async fn work_out<T: Send + 'static>(
    employee_days: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    if employee_days <= EMPLOYEE_DAYS_HERE_MAX {
        return Ok(work());
    }
    let Ok(Ok(turn)) = timeout(ASIDE_WAIT_MAX, TURNS.acquire()).await else {
        return Err(Unavailable::Overloaded { retry_after: ASIDE_WAIT_MAX }.into());
    };
    // The turn is the work's: it goes on though nobody waits for it any more.
    let work = move || {
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(error = %error, "a question about a salon's time panicked");
        Problem::internal_error()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[tokio::test]
    async fn a_long_question_holds_up_no_thread_that_answers_others() {
        let here = thread::current().id();
        let asked = |days| work_out(days, || thread::current().id());
        assert_eq!(asked(EMPLOYEE_DAYS_HERE_MAX).await.expect("worked out"), here);
        assert_ne!(asked(EMPLOYEE_DAYS_HERE_MAX + 1).await.expect("worked out"), here);
    }

    #[tokio::test]
    async fn no_more_are_worked_out_at_once_than_there_are_cores_to_spare() {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let (most, now) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let counts: &'static (AtomicUsize, AtomicUsize) = Box::leak(Box::new((most, now)));
        let work = move || {
            counts.0.fetch_max(counts.1.fetch_add(1, Relaxed) + 1, Relaxed);
            thread::sleep(Duration::from_millis(2));
            counts.1.fetch_sub(1, Relaxed);
        };
        let all: Vec<_> = (0..64).map(|_| tokio::spawn(work_out(usize::MAX, work))).collect();
        for one in all {
            one.await.expect("it ends").expect("it is worked out");
        }
        assert!((1..=(cores - 1).max(1)).contains(&counts.0.load(Relaxed)));
    }
}
