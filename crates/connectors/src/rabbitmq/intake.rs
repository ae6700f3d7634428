//! Taking messages from a queue: each is acknowledged when it is done, or put aside with a reason.
//!
//! Invariant: a message leaves the queue when it is acknowledged, and in no other way. One that is put aside is
//! acknowledged after the broker has confirmed its copy in the dead letters' exchange.
//!
//! Invariant: the messages that are held have about [`HELD_BYTES_MAX`] bytes at most, or are one. A broker counts what it
//! gives out in messages, of whatever size: at a message beyond the bound the connection is cut ([`Intake::overrun`]), and
//! all that was not acknowledged goes back into the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed};

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{Channel, Consumer, ExchangeKind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::link::{Link, Socket};
use super::outlet::{Message, Receipt, confirmed, send};
use super::{ANSWER_MAX, Address, CONNECT_MAX, Failure, within};

/// The longest reason in a header, in characters.
pub const REASON_CHARS_MAX: usize = 500;

/// The most bytes of messages that are taken and not done: a thousand messages of 64 KiB, or fewer of more.
pub const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// From where messages are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its name; at most [`super::NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// The exchange for what cannot be carried out; at most [`super::NAME_BYTES_MAX`] bytes.
    pub dead_letter_exchange: String,
    /// The queue that gets these.
    pub dead_letter_queue: String,
    /// Whether all of them are declared, durable; else they must be there.
    pub declare: bool,
    /// The most messages that are taken and not acknowledged.
    pub prefetch: u16,
}

/// A message that was taken.
#[derive(Debug)]
pub struct Received {
    /// Its id, where its sender gave it one.
    pub id: Option<String>,
    /// Its content.
    pub body: Vec<u8>,
    /// Whether it was given out before.
    pub redelivered: bool,
    delivery: Box<lapin::message::Delivery>,
    room: Room,
}

/// What is held of messages that are not done.
#[derive(Debug, Default)]
struct Held {
    bytes: AtomicUsize,
    messages: AtomicU16,
    /// How many messages were too many bytes; 0 as long as there are none.
    overrun: AtomicU16,
}

/// What a message takes of that, until it is done or given up.
#[derive(Debug)]
struct Room {
    held: Arc<Held>,
    bytes: usize,
    is_left: std::sync::atomic::AtomicBool,
}

/// A connection that takes messages from a queue.
#[derive(Debug)]
pub struct Intake {
    link: Link,
    /// Takes what comes, as it comes. Ends with this value.
    _taker: JoinSet<()>,
    messages: mpsc::Receiver<Result<Received, Failure>>,
    held: Arc<Held>,
    /// For what is put aside. A channel of its own: the broker closes one at which something is wrong.
    aside: Channel,
    queue: Queue,
}

impl Held {
    /// Takes room for a message. `None` where there is none beside the others.
    fn take(self: &Arc<Self>, bytes: usize) -> Option<Room> {
        let before = self.bytes.fetch_add(bytes, Relaxed);
        let messages = self.messages.fetch_add(1, Relaxed).saturating_add(1);
        let room = Room { held: Arc::clone(self), bytes, is_left: Default::default() };
        if before > 0 && before.saturating_add(bytes) > HELD_BYTES_MAX {
            self.overrun.store(messages, Relaxed);
            return None;
        }
        Some(room)
    }
}

impl Room {
    fn leave(&self) {
        if !self.is_left.swap(true, Relaxed) {
            self.held.bytes.fetch_sub(self.bytes, Relaxed);
            self.held.messages.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Intake {
    /// Connects, under this name, sees to the queues, and lets messages come.
    ///
    /// # Errors
    /// [`Failure`]: the broker is away, lets nobody in, or has queues of these names with other properties.
    pub async fn open(address: &Address, name: &str, queue: Queue) -> Result<Self, Failure> {
        let link = Link::open(address, name, CONNECT_MAX).await?;
        let (channel, aside) = (link.channel().await?, link.channel().await?);
        confirmed(&aside).await?;
        if queue.declare {
            declare(&channel, &queue).await?;
        }
        let qos = channel.basic_qos(queue.prefetch, BasicQosOptions::default());
        within(ANSWER_MAX, "limiting what is given out", qos).await?;
        let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
        let consuming = channel.basic_consume(queue.name.as_str().into(), name.into(), options, table);
        let consumer = within(ANSWER_MAX, "consuming", consuming).await?;
        let held = Arc::new(Held::default());
        // The broker gives out no more than that before something is acknowledged.
        let (taken, messages) = mpsc::channel(usize::from(queue.prefetch) + 1);
        let mut taker = JoinSet::new();
        taker.spawn(take(consumer, Arc::clone(&held), taken, link.socket()));
        Ok(Intake { link, _taker: taker, messages, held, aside, queue })
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`Failure`]: the connection is lost, or the queue was deleted. What was not acknowledged comes again.
    pub async fn next(&mut self) -> Result<Received, Failure> {
        match self.messages.recv().await {
            Some(received) => received,
            None => Err(Failure("the broker gives out nothing of this queue any more".to_owned())),
        }
    }

    /// How many messages were more than [`HELD_BYTES_MAX`], if that is why the connection is lost.
    pub fn overrun(&self) -> Option<u16> {
        Some(self.held.overrun.load(Relaxed)).filter(|messages| *messages > 0)
    }

    /// Says that a message is done.
    ///
    /// # Errors
    /// [`Failure`]: the connection is lost, and the message comes again.
    pub async fn done(&self, received: &Received) -> Result<(), Failure> {
        received.room.leave(); // another may come before the call returns
        within(ANSWER_MAX, "acknowledging", received.delivery.ack(BasicAckOptions::default())).await?;
        Ok(())
    }

    /// Puts a message aside: it goes to the exchange of dead letters under the queue's name, with the headers
    /// `x-maitred-code` and `x-maitred-reason`.
    ///
    /// # Errors
    /// [`Failure`]: the connection is lost, or no queue takes dead letters. The message comes again.
    pub async fn put_aside(&self, received: &Received, code: &str, reason: &str) -> Result<(), Failure> {
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        let properties = &received.delivery.properties;
        let message = Message {
            routing_key: &self.queue.name,
            id: received.id.as_deref().unwrap_or_default(),
            kind: properties.kind().as_ref().map_or("", |kind| kind.as_str()),
            at_seconds: properties.timestamp().unwrap_or_default(),
            headers: &[("x-maitred-code", code), ("x-maitred-reason", &reason)],
            body: &received.body,
        };
        match send(&self.aside, &self.queue.dead_letter_exchange, &message).await?.await? {
            Receipt::Taken => self.done(received).await,
            Receipt::Unroutable => Err(Failure(format!(
                "no queue takes what is put aside: bind one to the exchange {} for {}",
                self.queue.dead_letter_exchange, self.queue.name
            ))),
            Receipt::Refused => Err(Failure("the broker refuses what is put aside".to_owned())),
        }
    }

    /// Says good-bye. What was not acknowledged goes back into the queue.
    pub async fn close(self) {
        self.link.close().await;
    }
}

/// Takes what comes until something is wrong, and cuts the connection where more comes than there is room for.
async fn take(
    mut consumer: Consumer,
    held: Arc<Held>,
    taken: mpsc::Sender<Result<Received, Failure>>,
    socket: Arc<Socket>,
) {
    while let Some(delivery) = consumer.next().await {
        let received = delivery.map_err(Failure::from).and_then(|mut delivery| {
            let room = held.take(delivery.data.len());
            let too_much =
                || Failure(format!("the broker gives out more than {HELD_BYTES_MAX} bytes at once"));
            Ok(Received {
                id: delivery.properties.message_id().as_ref().map(|id| id.as_str().to_owned()),
                body: std::mem::take(&mut delivery.data),
                redelivered: delivery.redelivered,
                delivery: Box::new(delivery),
                room: room.ok_or_else(too_much)?,
            })
        });
        let is_last = received.is_err();
        if is_last {
            socket.shut();
        }
        if taken.send(received).await.is_err() || is_last {
            return;
        }
    }
}

async fn declare(channel: &Channel, queue: &Queue) -> Result<(), Failure> {
    let text = |text: &str| AMQPValue::LongString(LongString::from(text));
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let (exchange, table) = (queue.dead_letter_exchange.as_str(), FieldTable::default());
    let declared = channel.exchange_declare(exchange.into(), ExchangeKind::Direct, options, table.clone());
    within(ANSWER_MAX, "declaring the exchange of dead letters", declared).await?;
    let declared = channel.queue_declare(
        queue.dead_letter_queue.as_str().into(),
        QueueDeclareOptions::durable(),
        table.clone(),
    );
    within(ANSWER_MAX, "declaring the queue of dead letters", declared).await?;
    let (dead, key, options) =
        (queue.dead_letter_queue.as_str(), queue.name.as_str(), QueueBindOptions::default());
    let bound = channel.queue_bind(dead.into(), exchange.into(), key.into(), options, table);
    within(ANSWER_MAX, "binding the queue of dead letters", bound).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-dead-letter-exchange".into(), text(exchange));
    arguments.insert("x-dead-letter-routing-key".into(), text(key));
    let declared = channel.queue_declare(key.into(), QueueDeclareOptions::durable(), arguments);
    within(ANSWER_MAX, "declaring the queue", declared).await?;
    Ok(())
}
