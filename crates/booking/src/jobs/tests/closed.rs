//! What becomes of a schedule whose tenant is closed.

use super::*;
use crate::tenants::{self, CreateTenant, DeleteTenant, DropIns};

#[test]
fn a_schedule_of_a_tenant_that_is_closed_queues_nothing_any_more() {
    let mut jobs = Jobs::new();
    let tenant = TenantNumber(1);
    let of_server = |jobs: &mut Jobs, command: tenants::Command| {
        jobs.0.submit(TenantNumber::SYSTEM, &command.into()).expect("it is accepted")
    };
    let create = CreateTenant {
        slug: "salon".into(),
        alias: None,
        name: "Salon".into(),
        time_zone: "Europe/Berlin".into(),
        currency: "EUR".into(),
        locale: "de-DE".into(),
        drop_ins: DropIns::NONE,
        public: false,
        automatic: false,
    };
    of_server(&mut jobs, tenants::Command::CreateTenant(create));
    let timing = Timing::Every { seconds: 60 };
    let details = ScheduleDetails { name: "a".into(), job: export(), timing, active: true };
    let made = jobs.ask_of(tenant, Command::CreateSchedule(details));
    let Ok((1, Outcome::Schedule(Effect::Created, made))) = made else { panic!("{made:?}") };
    assert_eq!(jobs.pass(60), 2, "the job, and the next instant");
    let close = DeleteTenant { tenant, if_version: None };
    of_server(&mut jobs, tenants::Command::DeleteTenant(close));
    assert_eq!(jobs.pass(60), 1, "that it is over");
    let now = schedule(&jobs.0.view, tenant, made.is.id, None).expect("it is there").is;
    assert_eq!((now.active, now.next, open_jobs(&jobs.0.view, tenant)), (false, None, 1));
    assert_eq!(timer::next_due(&jobs.0.view), None);
    jobs.check();
}
