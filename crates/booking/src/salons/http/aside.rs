//! Questions about much time are worked out on threads that answer nobody else; small ones where they are asked, since
//! the way there and back takes longer than they do.

use jiff::civil::Date;
use maitred_core::{Read, TenantNumber};
use maitred_web::Problem;
use uuid::Uuid;

use crate::record::Kind;
use crate::salons::view;

/// The most days of employees that a question is about which is worked out where it is asked: a few milliseconds.
pub const EMPLOYEE_DAYS_HERE_MAX: usize = 1_000;

/// How many days of employees a question about these local days is about: of one employee, or of all that a salon has.
pub(super) fn employee_days(
    view: &dyn Read,
    tenant: TenantNumber,
    (from, to): (Date, Date),
    employee: Option<Uuid>,
) -> usize {
    let days = usize::try_from(to.duration_since(from).as_hours() / 24).unwrap_or(0);
    let employees = employee.map_or_else(|| view::count(view, tenant, Kind::Employee), |_| 1);
    employees.saturating_mul(days)
}

/// Works out what is about so many days of employees: here, or aside if it takes long.
///
/// # Errors
/// 500 where it panicked aside.
pub(super) async fn work_out<T: Send + 'static>(
    employee_days: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    if employee_days <= EMPLOYEE_DAYS_HERE_MAX {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(error = %error, "a question about a salon's time panicked");
        Problem::internal_error()
    })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn a_long_question_holds_up_no_thread_that_answers_others() {
        let here = thread::current().id();
        let asked = |days| work_out(days, || thread::current().id());
        assert_eq!(asked(EMPLOYEE_DAYS_HERE_MAX).await.expect("worked out"), here);
        assert_ne!(asked(EMPLOYEE_DAYS_HERE_MAX + 1).await.expect("worked out"), here);
    }
}
