//! A RabbitMQ of its own, on free ports of the loopback, with folders of its own.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

use crate::program::Folder;

/// The longest that it may take to start.
const PATIENCE: Duration = Duration::from_secs(90);
/// Debian's command of this name runs as another user; this is the program behind it.
const SERVER: [&str; 2] = ["/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"];

/// A running broker. Killed with the value.
pub(crate) struct RabbitMq {
    folder: Folder,
    port: u16,
    ports: [u16; 2],
    names: Option<Child>,
    broker: Option<Child>,
}

/// A message as a receiver gets it.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) id: String,
    pub(crate) routing_key: String,
    pub(crate) properties: BasicProperties,
    pub(crate) body: String,
}

impl Got {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> String {
        let found = self.properties.headers().as_ref().and_then(|headers| headers.inner().get(name).cloned());
        match found {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            other => panic!("{name}: {other:?}"),
        }
    }
}

impl RabbitMq {
    pub(crate) fn start() -> RabbitMq {
        let free = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
        let [port, dist, names] = free.each_ref().map(|free| free.local_addr().expect("an address").port());
        drop(free);
        let folder = Folder::new();
        folder.write("enabled_plugins", "[].\n");
        folder.write(
            "rabbitmq.conf",
            &format!("listeners.tcp.default = 127.0.0.1:{port}\nlog.file.level = warning\n"),
        );
        let mut broker = RabbitMq { folder, port, ports: [dist, names], names: None, broker: None };
        broker.start_again();
        broker
    }

    /// Starts it on the data that are there.
    pub(crate) fn start_again(&mut self) {
        let [dist, names] = self.ports.map(|port| port.to_string());
        // The register of names that its runtime wants: started here, it is none that outlives the test.
        if self.names.is_none() {
            let mut command = Command::new("epmd");
            command.args(["-port", &names, "-address", "127.0.0.1"]).env_remove("ERL_EPMD_PORT");
            let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            self.names = Some(child.expect("epmd runs: apt-get install rabbitmq-server"));
        }
        let program = SERVER.iter().find(|program| std::path::Path::new(program).is_file());
        let mut command = Command::new(program.unwrap_or(&SERVER[1]));
        for (name, value) in [
            ("HOME", self.folder.arg("")),
            ("RABBITMQ_NODENAME", format!("maitred-{}@localhost", self.port)),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODE_PORT", self.port.to_string()),
            ("RABBITMQ_DIST_PORT", dist),
            ("ERL_EPMD_PORT", names),
            ("RABBITMQ_BASE", self.folder.arg("")),
            ("RABBITMQ_MNESIA_BASE", self.folder.arg("data")),
            ("RABBITMQ_LOG_BASE", self.folder.arg("log")),
            ("RABBITMQ_LOGS", "-".to_owned()),
            ("RABBITMQ_PID_FILE", self.folder.arg("pid")),
            ("RABBITMQ_CONF_ENV_FILE", self.folder.arg("none")),
            ("RABBITMQ_CONFIG_FILE", self.folder.arg("rabbitmq")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", self.folder.arg("enabled_plugins")),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}".to_owned()),
        ] {
            command.env(name, value);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.broker = Some(child.process_group(0).spawn().expect("rabbitmq-server runs"));
        let started = Instant::now();
        while self.try_with(async |_| ()).is_none() {
            assert!(started.elapsed() < PATIENCE, "RabbitMQ does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it by this signal to all of its processes, and waits for that.
    pub(crate) fn end(&mut self, signal: &str) {
        let Some(mut child) = self.broker.take() else { return };
        let group = format!("-{}", child.id());
        let _ = Command::new("kill").args(["-s", signal, "--", &group]).status();
        let _ = child.wait(); // it may have ended
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Does something on a channel of its own; `None` where the broker cannot be reached.
    pub(crate) fn try_with<T>(&self, work: impl AsyncFnOnce(&Channel) -> T) -> Option<T> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let url = self.url();
            let connecting = Connection::connect(&url, ConnectionProperties::default());
            let connected = tokio::time::timeout(Duration::from_secs(5), connecting).await;
            let connection = connected.ok()?.ok()?; // it starts still
            let channel = connection.create_channel().await.ok()?;
            let done = work(&channel).await;
            let _ = connection.close(200, "done".into()).await; // it may be gone
            Some(done)
        })
    }

    #[track_caller]
    fn with<T>(&self, work: impl AsyncFnOnce(&Channel) -> T) -> T {
        self.try_with(work).expect("the broker answers")
    }

    /// A durable queue, bound to a topic exchange that is declared if it is not there.
    pub(crate) fn bind(&self, queue: &str, exchange: &str, pattern: &str) {
        self.with(async |channel| {
            let table = FieldTable::default;
            let durable = lapin::options::ExchangeDeclareOptions { durable: true, ..Default::default() };
            let kind = lapin::ExchangeKind::Topic;
            channel.exchange_declare(exchange.into(), kind, durable, table()).await.expect("declared");
            let options = QueueDeclareOptions::durable();
            channel.queue_declare(queue.into(), options, table()).await.expect("declared");
            let options = QueueBindOptions::default();
            channel
                .queue_bind(queue.into(), exchange.into(), pattern.into(), options, table())
                .await
                .expect("bound");
        });
    }

    /// Takes out what is in a queue.
    pub(crate) fn drain(&self, queue: &str) -> Vec<Got> {
        self.with(async |channel| {
            let mut all = Vec::new();
            let options = BasicGetOptions { no_ack: true };
            while let Some(got) = channel.basic_get(queue.into(), options).await.expect("a queue") {
                let properties = got.delivery.properties.clone();
                all.push(Got {
                    id: properties.message_id().as_ref().map_or("", |id| id.as_str()).to_owned(),
                    routing_key: got.delivery.routing_key.to_string(),
                    properties,
                    body: String::from_utf8(got.delivery.data).expect("UTF-8"),
                });
            }
            all
        })
    }

    /// Puts messages into a queue, each with its id, and waits until they are safe there.
    pub(crate) fn send(&self, queue: &str, messages: &[(&str, &str)]) {
        self.with(async |channel| {
            channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
            for (id, body) in messages {
                let properties =
                    BasicProperties::default().with_delivery_mode(2).with_message_id((*id).into());
                let options = BasicPublishOptions { mandatory: true, immediate: false };
                let sent = channel
                    .basic_publish("".into(), queue.into(), options, body.as_bytes(), properties)
                    .await
                    .expect("sent");
                let confirmed = sent.await.expect("confirmed");
                assert!(matches!(confirmed, lapin::Confirmation::Ack(None)), "{confirmed:?}");
            }
        });
    }

    /// How many messages wait in a queue; `None` where there is none.
    pub(crate) fn waiting(&self, queue: &str) -> Option<u32> {
        self.with(async |channel| {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let found = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
            found.ok().map(|queue| queue.message_count())
        })
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.end("KILL");
        if let Some(mut names) = self.names.take() {
            let _ = names.kill(); // it may have ended
            let _ = names.wait();
        }
    }
}
