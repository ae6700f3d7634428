//! Changes of shift plans.

use maitred_core::{Class, Context, Decision, Read, Rejection};
use uuid::Uuid;

use super::records::put;
use super::{Decided, Effect, Outcome, not_found, require_version};
use crate::salons::command::{ABSENCES_MAX, Change, EXCEPTIONS_MAX, PlanChange};
use crate::salons::fact::{Employee, Fact};
use crate::salons::plan::{AbsenceState, PlanState};
use crate::salons::validation;
use crate::salons::view;
use crate::violation::refuse_any;

pub(super) fn change(view: &dyn Read, change: &Change<Uuid, PlanChange>, cx: &Context) -> Decided {
    refuse_any(&validation::plan_change(&change.what))?;
    view::get::<Employee>(view, cx.tenant, change.id, None).ok_or_else(not_found::<Employee>)?;
    let found = view::plan(view, cx.tenant, change.id, None);
    require_version(found.version, change.if_version)?;
    let plan = changed(found.is.clone(), &change.what, cx)?;
    if plan == found.is {
        return Ok(Decision { facts: Vec::new(), outcome: Outcome::Plan(Effect::Unchanged, found) });
    }
    Ok(put(found.version, plan, Effect::Updated, (Fact::PlanChanged, Outcome::Plan), cx))
}

fn changed(mut plan: PlanState, change: &PlanChange, cx: &Context) -> Result<PlanState, Rejection> {
    match change {
        PlanChange::SetPatterns(patterns) => plan.patterns.clone_from(patterns),
        PlanChange::SetException(day, spans) => {
            match plan.exceptions.binary_search_by_key(day, |(day, _)| *day) {
                Ok(place) => plan.exceptions[place].1.clone_from(spans),
                Err(_) if plan.exceptions.len() >= EXCEPTIONS_MAX => return Err(too_many("exceptions")),
                Err(place) => plan.exceptions.insert(place, (*day, spans.clone())),
            }
        }
        PlanChange::RemoveException(day) => plan.exceptions.retain(|(known, _)| known != day),
        PlanChange::AddAbsence { time, reason } => {
            if plan.absences.len() >= ABSENCES_MAX {
                return Err(too_many("absences"));
            }
            plan.absences.push(AbsenceState { id: cx.ids.next(), time: *time, reason: reason.clone() });
        }
        PlanChange::RemoveAbsence(id) => {
            let place = plan.absences.iter().position(|absence| absence.id == *id);
            plan.absences.remove(place.ok_or_else(absence_not_found)?);
        }
    }
    Ok(plan)
}

fn absence_not_found() -> Rejection {
    Rejection::new(Class::Absent, "absence-not-found", "The employee has no such absence.")
}

fn too_many(what: &str) -> Rejection {
    let detail = format!("The employee has as many {what} as one may have; remove old ones.");
    Rejection::new(Class::TooMany, "too-many-records", detail)
}
