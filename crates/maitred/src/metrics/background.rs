//! What the server does by itself, in `/metrics`: timers, consumers and jobs.

use std::fmt;

use maitred_booking::Booking;
use maitred_booking::consumers::dead_letter_count;
use maitred_booking::jobs::view::waiting as waiting_jobs;
use maitred_engine::timers::Timed;
use maitred_engine::{Engine, consumers};
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::{NoExemplar, Server, gauge};

/// How something of a consumer is read, at this time.
type OfConsumer = fn(&Engine<Booking>, &consumers::Status) -> f64;

impl Server {
    /// The jobs that wait for a worker.
    fn encode_jobs(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let engine = self.app.engine();
        let now = engine.now();
        let (waiting, since) = waiting_jobs(&engine.view(), now);
        gauge(encoder, "jobs_waiting", "Jobs that wait for a worker", None, waiting as i64)?;
        let micros = since.map_or(0, |since| now.as_micros().saturating_sub(since.as_micros()).max(0));
        encoder
            .encode_descriptor(
                "jobs_waiting_oldest",
                "How long the one has waited that has waited longest",
                Some(&Unit::Seconds),
                MetricType::Gauge,
            )?
            .encode_gauge(&(micros as f64 / 1e6))
    }

    /// Timers and consumers.
    pub(super) fn encode_background(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let engine = self.app.engine();
        let overdue = Booking
            .next_due(&engine.view())
            .map_or(0, |due| engine.now().as_micros().saturating_sub(due.as_micros()).max(0));
        encoder
            .encode_descriptor(
                "timers_overdue",
                "How long the oldest timer is overdue; what it stands for is treated as done anyway",
                Some(&Unit::Seconds),
                MetricType::Gauge,
            )?
            .encode_gauge(&(overdue as f64 / 1e6))?;
        self.encode_jobs(encoder)?;
        let gauges: [(&str, &str, Option<&Unit>, OfConsumer); 5] = [
            ("consumer_behind", "Batches that the consumer is not done with", None, |engine, of| {
                engine.position().seq.saturating_sub(of.done()) as f64
            }),
            (
                "consumer_unfinished",
                "Facts that the consumer knows of and is not done with",
                None,
                |_, of| of.unfinished() as f64,
            ),
            ("consumer_oldest", "Age of the oldest of these", Some(&Unit::Seconds), |engine, of| {
                of.oldest_age(engine.now()).as_secs_f64()
            }),
            ("consumer_dead_letters", "Facts that are put aside", None, |engine, of| {
                dead_letter_count(&engine.view(), of.name) as f64
            }),
            ("consumer_superseded", "Whether another runner has claimed the consumer", None, |_, of| {
                f64::from(u8::from(of.is_superseded()))
            }),
        ];
        for (name, help, unit, value) in gauges {
            let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            for status in engine.consumers() {
                let value = value(engine, &status);
                family.encode_family(&[("consumer", status.name)])?.encode_gauge(&value)?;
            }
        }
        let counters: [(&str, &str, OfConsumer); 4] = [
            ("consumer_facts", "Facts that the consumer is done with", |_, of| of.facts() as f64),
            ("consumer_attempts", "Attempts at a fact", |_, of| of.attempts() as f64),
            ("consumer_failures", "Attempts at a fact that failed", |_, of| of.failures() as f64),
            ("consumer_parked", "Facts that were put aside", |_, of| of.parked() as f64),
        ];
        for (name, help, value) in counters {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for status in engine.consumers() {
                let value = value(engine, &status);
                family
                    .encode_family(&[("consumer", status.name)])?
                    .encode_counter(&value, None::<&NoExemplar>)?;
            }
        }
        Ok(())
    }
}
