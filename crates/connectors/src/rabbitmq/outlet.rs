//! Publishing: each message is confirmed by the broker, refused, or lost with the connection.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Confirmation, ExchangeKind};

use super::link::Link;
use super::{ANSWER_MAX, Address, CONNECT_MAX, Failure, within};

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Its name; at most [`super::NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Whether it is declared, as a durable topic exchange; else it must be there.
    pub declare: bool,
}

/// A message, to be kept by the broker on its disk.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// At most [`super::NAME_BYTES_MAX`] bytes.
    pub routing_key: &'a str,
    /// By which receivers know it when it comes again.
    pub id: &'a str,
    /// Of what type it is.
    pub kind: &'a str,
    /// When what it tells of happened, in seconds since 1970.
    pub at_seconds: u64,
    /// Texts beside it.
    pub headers: &'a [(&'a str, &'a str)],
    /// JSON.
    pub body: &'a [u8],
}

/// What the broker says of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// It is in every queue that is to have it, on the broker's disk.
    Taken,
    /// No queue is bound for it: the broker threw it away.
    Unroutable,
    /// The broker failed to take it.
    Refused,
}

/// A connection that publishes.
#[derive(Debug)]
pub struct Outlet {
    link: Link,
    channel: Channel,
    exchange: String,
}

impl Outlet {
    /// Connects, under this name, and sees to the exchange.
    ///
    /// # Errors
    /// [`Failure`]: the broker is away, lets nobody in, or has another exchange of this name.
    pub async fn open(address: &Address, name: &str, exchange: &Exchange) -> Result<Self, Failure> {
        let link = Link::open(address, name, CONNECT_MAX).await?;
        let channel = link.channel().await?;
        if exchange.declare {
            let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            let (name, table) = (exchange.name.as_str().into(), FieldTable::default());
            let declared = channel.exchange_declare(name, ExchangeKind::Topic, options, table);
            within(ANSWER_MAX, "declaring the exchange", declared).await?;
        }
        confirmed(&channel).await?;
        Ok(Outlet { link, channel, exchange: exchange.name.clone() })
    }

    /// Hands a message over. Messages go out in the order of these calls; what becomes of each, its future says.
    ///
    /// # Errors
    /// [`Failure`]: the connection is lost. The message may have been taken, here and in the future.
    pub async fn send(
        &self,
        message: &Message<'_>,
    ) -> Result<impl Future<Output = Result<Receipt, Failure>> + Send + use<>, Failure> {
        send(&self.channel, &self.exchange, message).await
    }

    /// Says good-bye.
    pub async fn close(self) {
        self.link.close().await;
    }
}

/// From here on the broker confirms what is published.
pub(super) async fn confirmed(channel: &Channel) -> Result<(), Failure> {
    within(ANSWER_MAX, "asking for confirms", channel.confirm_select(ConfirmSelectOptions::default())).await
}

pub(super) async fn send(
    channel: &Channel,
    exchange: &str,
    message: &Message<'_>,
) -> Result<impl Future<Output = Result<Receipt, Failure>> + Send + use<>, Failure> {
    let mut headers = FieldTable::default();
    for (name, value) in message.headers {
        headers.insert((*name).into(), AMQPValue::LongString(LongString::from(*value)));
    }
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(2) // persistent
        .with_message_id(message.id.into())
        .with_type(message.kind.into())
        .with_app_id("maitred".into())
        .with_timestamp(message.at_seconds)
        .with_headers(headers);
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let (exchange, routing_key) = (exchange.into(), message.routing_key.into());
    let published = channel.basic_publish(exchange, routing_key, options, message.body, properties);
    let confirm = within(ANSWER_MAX, "publishing", published).await?;
    Ok(async move {
        Ok(match within(ANSWER_MAX, "a confirm", confirm).await? {
            Confirmation::Ack(None) => Receipt::Taken,
            Confirmation::Ack(Some(_)) => Receipt::Unroutable,
            Confirmation::Nack(_) => Receipt::Refused,
            Confirmation::NotRequested => return Err(Failure("the broker confirms nothing".to_owned())),
        })
    })
}
