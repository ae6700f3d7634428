//! Taking messages from a queue: each is acknowledged when it is done, or put aside with a reason.
//!
//! Invariant: a message leaves the queue when it is acknowledged, and in no other way. One that is put aside is
//! acknowledged after the broker has confirmed its copy in the dead letters' exchange.

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{Channel, Connection, Consumer, ExchangeKind};

use super::outlet::{Message, Receipt, confirmed, send};
use super::{ANSWER_MAX, Address, Failure, close, connect, within};

/// The longest reason in a header, in characters.
pub const REASON_CHARS_MAX: usize = 500;

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
    delivery: lapin::message::Delivery,
}

/// A connection that takes messages from a queue.
#[derive(Debug)]
pub struct Intake {
    connection: Connection,
    /// For what is put aside. A channel of its own: the broker closes one at which something is wrong.
    aside: Channel,
    consumer: Consumer,
    queue: Queue,
}

impl Intake {
    /// Connects, under this name, sees to the queues, and lets messages come.
    ///
    /// # Errors
    /// [`Failure`]: the broker is away, lets nobody in, or has queues of these names with other properties.
    pub async fn open(address: &Address, name: &str, queue: Queue) -> Result<Self, Failure> {
        let connection = connect(address, name).await?;
        let channel = within(ANSWER_MAX, "opening a channel", connection.create_channel()).await?;
        let aside = within(ANSWER_MAX, "opening a channel", connection.create_channel()).await?;
        confirmed(&aside).await?;
        if queue.declare {
            declare(&channel, &queue).await?;
        }
        let qos = channel.basic_qos(queue.prefetch, BasicQosOptions::default());
        within(ANSWER_MAX, "limiting what is given out", qos).await?;
        let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
        let consuming = channel.basic_consume(queue.name.as_str().into(), name.into(), options, table);
        let consumer = within(ANSWER_MAX, "consuming", consuming).await?;
        Ok(Intake { connection, aside, consumer, queue })
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`Failure`]: the connection is lost, or the queue was deleted. What was not acknowledged comes again.
    pub async fn next(&mut self) -> Result<Received, Failure> {
        let Some(delivery) = self.consumer.next().await else {
            return Err(Failure("the broker gives out nothing of this queue any more".to_owned()));
        };
        let mut delivery = delivery?;
        Ok(Received {
            id: delivery.properties.message_id().as_ref().map(|id| id.as_str().to_owned()),
            body: std::mem::take(&mut delivery.data),
            redelivered: delivery.redelivered,
            delivery,
        })
    }

    /// Says that a message is done.
    ///
    /// # Errors
    /// [`Failure`]: the connection is lost, and the message comes again.
    pub async fn done(&self, received: &Received) -> Result<(), Failure> {
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
        close(&self.connection).await;
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
