//! What is told of message brokers. Labels are names of the configuration.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use maitred_booking::app::App;
use maitred_booking::brokers::{Consuming, Publishing};
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::NoExemplar;

/// What is published, and what is taken from queues; nothing where there are no brokers.
pub(super) fn encode(app: &App, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let (publishing, consuming) = (app.brokers().publishing(), app.brokers().consuming());
    let number = |value: &AtomicU64| value.load(Relaxed) as f64;
    let truth = |value: &AtomicBool| f64::from(u8::from(value.load(Relaxed)));
    let now = app.engine().now();
    if !publishing.is_empty() {
        type Of<'a> = &'a dyn Fn(&Publishing) -> f64;
        let gauges: [(&str, &str, Option<&Unit>, Of<'_>); 4] = [
            ("broker_connected", "Whether the publisher has a connection", None, &|of| truth(&of.connected)),
            ("broker_behind", "Batches that are not published to their end", None, &|of| number(&of.behind)),
            ("broker_waiting", "Changes that are read and not confirmed", None, &|of| number(&of.waiting)),
            ("broker_oldest", "Age of the oldest of these", Some(&Unit::Seconds), &|of| {
                of.oldest_age(now).as_secs_f64()
            }),
        ];
        for (name, help, unit, value) in gauges {
            let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            for of in &publishing {
                family.encode_family(&[("broker", of.broker.as_str())])?.encode_gauge(&value(of))?;
            }
        }
        let counters: [(&str, &str, Of<'_>); 3] = [
            ("broker_published", "Changes that the broker has confirmed", &|of| number(&of.published)),
            ("broker_retried", "Changes that were handed over again, or wait to be", &|of| {
                number(&of.retried)
            }),
            ("broker_unroutable", "Times that no queue took a change", &|of| number(&of.unroutable)),
        ];
        for (name, help, value) in counters {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for of in &publishing {
                let labels = [("broker", of.broker.as_str())];
                family.encode_family(&labels)?.encode_counter(&value(of), None::<&NoExemplar>)?;
            }
        }
    }
    if !consuming.is_empty() {
        type Of<'a> = &'a dyn Fn(&Consuming) -> f64;
        let gauges: [(&str, &str, Of<'_>); 2] = [
            ("broker_queue_connected", "Whether the queue is consumed", &|of| truth(&of.connected)),
            ("broker_queue_waiting", "Messages that are taken and not done", &|of| number(&of.waiting)),
        ];
        for (name, help, value) in gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for of in &consuming {
                let labels = [("broker", of.broker.as_str()), ("queue", of.queue.as_str())];
                family.encode_family(&labels)?.encode_gauge(&value(of))?;
            }
        }
        let counters: [(&str, &str, Of<'_>); 3] = [
            ("broker_queue_accepted", "Messages whose command was accepted", &|of| number(&of.accepted)),
            ("broker_queue_put_aside", "Messages that became dead letters", &|of| number(&of.put_aside)),
            ("broker_queue_retried", "Times that a command was entered again", &|of| number(&of.retried)),
        ];
        for (name, help, value) in counters {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for of in &consuming {
                let labels = [("broker", of.broker.as_str()), ("queue", of.queue.as_str())];
                family.encode_family(&labels)?.encode_counter(&value(of), None::<&NoExemplar>)?;
            }
        }
    }
    Ok(())
}
