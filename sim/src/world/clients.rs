//! The clients: what they ask, and the answers they get. A request whose answer was lost is sent again.

use maitred_booking::tenants;
use maitred_core::{Actor, TenantNumber};
use maitred_engine::clock::Clock;
use maitred_engine::queue::Queued;
use maitred_engine::{Answer, Envelope, Unavailable};

use super::{Asked, Import, Result, World};
use crate::model::Verdict;
use crate::operation::{self, Operation};
use crate::sabotage::Rules;
use crate::users;

impl World {
    pub(super) fn any_client_asks(&mut self) {
        let idle: Vec<_> =
            (0..self.clients.len()).filter(|client| self.clients[*client].asked.is_none()).collect();
        if idle.is_empty() {
            return;
        }
        let client = *self.random.pick(&idle);
        if let Some(again) = self.clients[client].again.take() {
            return self.ask(client, again);
        }
        if self.healed && self.clients[client].import.is_none() {
            return;
        }
        if !self.healed && self.clients[client].import.is_none() && self.random.chance(1, 60) {
            let operations = Operation::any_import(&mut self.random, self.clock.wall());
            self.clients[client].import = Some(Import { operations, next: 0 });
        }
        let operation = match &self.clients[client].import {
            Some(import) => import.operations[import.next].clone(),
            None => Operation::any(&mut self.random, self.steps, &self.model, self.clock.wall()),
        };
        self.ask(client, Asked::Operation(Box::new(operation)));
    }

    pub(super) fn ask(&mut self, client: usize, asked: Asked) {
        let Some(node) = &self.node else { return };
        match node.queue.push(envelope(&asked), self.clock.monotonic()) {
            Ok(pending) => self.clients[client].asked = Some((asked, pending)),
            Err(_) => {
                self.report.count("refused: overloaded");
                self.clients[client].again = Some(asked);
            }
        }
    }

    /// Takes in the answers that have arrived.
    pub(super) fn collect(&mut self) -> Result {
        for client in 0..self.clients.len() {
            let Some((asked, pending)) = &mut self.clients[client].asked else { continue };
            let Ok(answer) = pending.try_recv() else { continue };
            let asked = asked.clone();
            self.clients[client].asked = None;
            match answer {
                Ok(answer) => {
                    self.acknowledge(&asked, &answer)?;
                    let import = &mut self.clients[client].import;
                    if let Some(running) = import {
                        running.next += 1;
                        if running.next == running.operations.len() {
                            self.report.count("import: done");
                            *import = None;
                        }
                    }
                }
                Err(refused) => {
                    self.report.count(match refused {
                        Unavailable::ClockSuspect => "refused: clock suspect",
                        Unavailable::DiskFull => "refused: disk full",
                        Unavailable::Overloaded { .. } => "refused: overloaded",
                        Unavailable::Unknown => "refused: unknown outcome",
                        other => return Err(format!("nobody expected the refusal {other}")),
                    });
                    if refused == Unavailable::DiskFull && self.random.chance(1, 2) {
                        self.disk.set_faults(|faults| faults.free_bytes = u64::MAX);
                    }
                    if refused == Unavailable::ClockSuspect
                        && self.random.chance(1, 4)
                        && let Some(node) = &mut self.node
                    {
                        node.guard.confirm(&*self.clock);
                    }
                    self.clients[client].again = Some(asked);
                }
            }
        }
        Ok(())
    }

    pub(super) fn acknowledge(&mut self, asked: &Asked, answer: &Answer<maitred_booking::Outcome>) -> Result {
        self.acknowledged = self.acknowledged.max(answer.position.seq);
        if answer.position.seq > self.durable.0 {
            return Err(format!("I3: batch {} is acknowledged, not committed", answer.position.seq));
        }
        let Asked::Operation(_) = asked else { return Ok(()) };
        self.answered += 1;
        let verdict = Verdict::of(&answer.result);
        if answer.replayed {
            self.report.count("answer: replayed");
        } else {
            self.report.count(match &verdict {
                Verdict::Accepted(effect, _) => format!("answer: accepted {}", effect.as_str()),
                Verdict::Account(effect, _) => format!("answer: account {}", users::name(*effect)),
                Verdict::Sale(effect) => format!("answer: sale {}", effect.as_str()),
                Verdict::Salon(effect) => format!("answer: salon {}", effect.as_str()),
                Verdict::Begun => "answer: begun".to_owned(),
                Verdict::Refused(code) => format!("answer: {code}"),
            });
        }
        self.digest.update(format!("{:?} {verdict:?} {}", answer.position, answer.timestamp).as_bytes());
        Ok(())
    }
}

/// A request as the engine takes it.
pub(super) fn envelope(asked: &Asked) -> Envelope<maitred_booking::Command> {
    match asked {
        Asked::Bookkeeping => unreachable!("no client keeps a cursor"),
        Asked::Tenant(number) => Envelope {
            tenant: TenantNumber::SYSTEM,
            actor: Actor::System,
            idempotency: None,
            bytes: 64,
            command: tenants::Command::CreateTenant(tenants::CreateTenant {
                slug: format!("tenant-{number}"),
                alias: None,
                name: format!("Tenant {number}"),
                time_zone: "Europe/Berlin".into(),
                currency: "EUR".into(),
                locale: "de-DE".into(),
                drop_ins: Default::default(),
                public: false,
                automatic: false,
            })
            .into(),
        },
        Asked::Operation(operation) => Envelope {
            tenant: operation.tenant,
            actor: Actor::Anonymous,
            idempotency: operation.idempotency,
            bytes: 300,
            command: operation.command(),
        },
    }
}

/// What a queued command asks.
pub(super) fn asked(queued: &Queued<Rules>) -> Asked {
    let envelope = &queued.envelope;
    let operation = |command| {
        let (tenant, idempotency) = (envelope.tenant, envelope.idempotency);
        Asked::Operation(Box::new(Operation { tenant, idempotency, command }))
    };
    match &envelope.command {
        maitred_booking::Command::Appointments(command) => {
            operation(operation::Asked::Appointment(command.clone()))
        }
        maitred_booking::Command::Accounts(command) => operation(operation::Asked::Account(command.clone())),
        maitred_booking::Command::FlashSales(command) => operation(operation::Asked::Sale(command.clone())),
        maitred_booking::Command::Salons(command) => operation(operation::Asked::Salon(command.clone())),
        maitred_booking::Command::Batches(command) => operation(operation::Asked::Batch(*command)),
        maitred_booking::Command::Tenants(_) => Asked::Tenant(0),
        // The consumer's own, and domains that no client here asks for.
        _ => Asked::Bookkeeping,
    }
}
