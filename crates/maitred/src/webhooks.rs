//! The workers behind webhooks: a thread of its own that gives the dispatcher its time, and sends what it wants sent.
//!
//! Next: [`maitred_booking::webhooks::dispatch`] for what is decided, [`maitred_connectors::outgoing`] for how it is sent.

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use maitred_booking::app::App;
use maitred_booking::webhooks::courier::{
    ANSWER_BYTES_MAX, Answer, Answered, Courier, Delivery, Job, Unanswered,
};
use maitred_booking::webhooks::dispatch::Dispatcher;
use maitred_connectors::outgoing::{Bounds, Client, Failure, HeaderMap, Method, Request, Target, header};
use maitred_core::Actor;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a delivery may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two steps there is at least this: a server in a rush publishes thousands of batches a second.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a stop waits for what is under way.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// How long it is left alone after a panic.
const PANIC_PAUSE: Duration = Duration::from_secs(1);
/// The size of a command of the dispatcher in memory, roughly.
const COMMAND_BYTES: usize = 512;
/// What follows a decision gives way to deciding.
const NICENESS: i32 = 10;

/// Sends deliveries by HTTP.
#[derive(Debug, Clone)]
pub struct HttpCourier(pub Client);

impl Courier for HttpCourier {
    fn refuses(&self, url: &str) -> Option<String> {
        Target::parse(url, self.0.rules()).err().map(|refused| refused.to_string())
    }

    fn deliver(&self, job: Job, patience: Duration) -> Delivery {
        let client = self.0.clone();
        Box::pin(async move {
            let began = Instant::now();
            let result = send(&client, job, patience).await.map_err(|failure| Unanswered {
                refused: matches!(failure, Failure::Refused(_)),
                problem: failure.to_string(),
            });
            Answered { took: began.elapsed(), result }
        })
    }
}

async fn send(client: &Client, job: Job, patience: Duration) -> Result<Answer, Failure> {
    let target = Target::parse(&job.url, client.rules())?;
    let seconds = job.at.as_millis().div_euclid(1_000).to_string();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::HeaderName::from_static("webhook-id"), &job.id),
        (header::HeaderName::from_static("webhook-timestamp"), &seconds),
        (header::HeaderName::from_static("webhook-signature"), &job.signature),
    ] {
        let value = header::HeaderValue::from_str(value);
        headers.insert(name, value.map_err(|error| Failure::Unwritten(error.to_string()))?);
    }
    let bounds = Bounds { answer: patience, total: patience, ..Bounds::WEBHOOK };
    let request = Request { method: Method::POST, target: &target, headers, body: job.payload.into() };
    let answer = client.send(request, bounds).await?;
    let (status, retry_after) = (answer.status.as_u16(), answer.retry_after());
    // The head decides. What becomes of the body is for people who look for a fault.
    let beginning = answer.body.beginning(ANSWER_BYTES_MAX).await;
    Ok(Answer { status, beginning, retry_after })
}

/// The thread, running.
#[derive(Debug)]
pub struct Workers {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts it. `seed` is for the jitter of waits.
    pub fn start(app: App, seed: u64) -> Self {
        let (stop, mut stopping) = watch::channel(false);
        let run = move || {
            // Where it is not allowed, the thread competes with the others.
            let _ = rustix::process::setpriority_process(None, NICENESS);
            while !*stopping.borrow_and_update() {
                let work = AssertUnwindSafe(|| work(&app, seed, stopping.clone()));
                if catch_unwind(work).is_err() {
                    tracing::error!("a bug in the dispatcher of webhooks; starting over from its cursors");
                    thread::sleep(PANIC_PAUSE);
                }
            }
        };
        let thread = thread::Builder::new().name("maitred-webhooks".into()).spawn(run);
        Workers { stop, thread: thread.expect("a thread can be started") }
    }

    /// Ends it. What is under way and is not answered in two seconds is sent again after the next start.
    pub fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.thread.join(); // a panic was reported by the thread itself
    }
}

fn work(app: &App, seed: u64, stopping: watch::Receiver<bool>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(dispatch(app, seed, stopping));
}

async fn dispatch(app: &App, seed: u64, mut stopping: watch::Receiver<bool>) {
    let (engine, webhooks) = (app.engine(), app.webhooks());
    let Some(courier) = webhooks.courier() else { return drop(stopping.changed().await) };
    let mut dispatcher = Dispatcher::new(seed);
    let mut published = engine.watch();
    let mut flights = JoinSet::new();
    while !*stopping.borrow_and_update() {
        published.borrow_and_update(); // before the view is taken: what comes later wakes
        let step = {
            let mut submit =
                |tenant, command| app.enter((tenant, Actor::System), None, COMMAND_BYTES, command).ok();
            dispatcher.step(&engine.view(), engine.now(), webhooks, &mut submit)
        };
        for (number, job) in step.jobs {
            let delivery = AssertUnwindSafe(courier.deliver(job, PATIENCE)).catch_unwind();
            flights.spawn(async move { (number, delivery.await.unwrap_or_else(|_| bug())) });
        }
        tokio::time::sleep(PAUSE).await;
        let finished = tokio::select! {
            _ = stopping.changed() => None,
            finished = flights.join_next(), if !flights.is_empty() => finished,
            _ = published.changed() => None,
            () = tokio::time::sleep(step.patience) => None,
        };
        let mut next = finished;
        while let Some(Ok((number, answered))) = next {
            dispatcher.finished(number, &answered, engine.now(), webhooks);
            next = flights.try_join_next();
        }
    }
    let ends = tokio::time::Instant::now() + STOP_PATIENCE;
    while let Ok(Some(Ok((number, answered)))) = tokio::time::timeout_at(ends, flights.join_next()).await {
        dispatcher.finished(number, &answered, engine.now(), webhooks);
    }
    let mut submit = |tenant, command| app.enter((tenant, Actor::System), None, COMMAND_BYTES, command).ok();
    dispatcher.leave(&engine.view(), engine.now(), &mut submit);
}

fn bug() -> Answered {
    tracing::error!("a bug in the sending of a webhook");
    let problem = "an internal error of the sender".to_owned();
    Answered { took: Duration::ZERO, result: Err(Unanswered { refused: false, problem }) }
}
