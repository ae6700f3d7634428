//! The worker behind mail: a thread of its own that gives the dispatcher its time, and sends letters by SMTP.
//!
//! Invariant: no text of a client makes a line of a head or of the dialogue: addresses are parsed, names and subjects
//! encoded (RFC 2047) by what builds the mail.
//!
//! Next: [`maitred_booking::mail::dispatch`] for what is decided.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use lettre::transport::smtp::{self, AsyncSmtpTransportBuilder};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use maitred_booking::app::App;
use maitred_booking::mail::courier::{MailServer, Sent};
use maitred_booking::mail::dispatch::Dispatcher;
use maitred_booking::mail::letter::{Letter, one_line};
use maitred_core::Actor;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{Mail, MailLogin, MailSecurity};

/// Between two steps there is at least this: a server in a rush publishes thousands of batches a second.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a stop waits for what is under way.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// How long it is left alone after a panic.
const PANIC_PAUSE: Duration = Duration::from_secs(1);
/// The size of a command of the dispatcher in memory, roughly.
const COMMAND_BYTES: usize = 512;
/// What follows a decision gives way to deciding.
const NICENESS: i32 = 10;
/// What servers answer where the login, or this server as such, is what they refuse (RFC 4954, RFC 5321).
const NO_LEAVE: [u16; 5] = [421, 530, 534, 535, 538];

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// The server that takes mail, as the configuration names it.
#[derive(Clone)]
pub struct Relay {
    server: MailServer,
    from: Address,
    patience: Duration,
    builder: AsyncSmtpTransportBuilder,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is in the builder includes the password.
        f.debug_struct("Relay").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Relay {
    /// A server that is reached as `mail` says. `roots` are certificates in PEM.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the certificates.
    pub fn new(mail: &Mail, login: Option<MailLogin>, roots: &[u8]) -> Result<Relay, String> {
        let host = mail.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let from: Address = mail.from.parse().map_err(|error| format!("{}: {error}", mail.from))?;
        let tls = || {
            let mut parameters = TlsParameters::builder(host.clone());
            for certificate in certificates(roots)? {
                parameters = parameters.add_root_certificate(certificate);
            }
            parameters.build_rustls().map_err(|error| error.to_string())
        };
        let tls = match mail.security {
            MailSecurity::Starttls => Tls::Required(tls()?),
            MailSecurity::Tls => Tls::Wrapper(tls()?),
            MailSecurity::None => Tls::None,
        };
        let patience = Duration::from_secs(mail.timeout_seconds);
        // No connection is kept for the next mail: one that was left in the middle of a dialogue would give that mail the
        // answers of this one.
        let pool = PoolConfig::new().max_size(0);
        let mut builder = Transport::builder_dangerous(host)
            .port(mail.port)
            .tls(tls)
            .timeout(Some(patience))
            .hello_name(ClientId::Domain(from.domain().to_owned()))
            .pool_config(pool);
        if let Some(MailLogin { user, password }) = login {
            builder = builder.credentials(Credentials::new(user, password));
        }
        let server = MailServer {
            from: mail.from.clone(),
            per_second: mail.per_second,
            connections: mail.parallel as usize,
        };
        Ok(Relay { server, from, patience, builder })
    }
}

/// The certificates of a file in PEM.
fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = std::str::from_utf8(pem).map_err(|error| error.to_string())?;
    let one =
        |part: &str| Certificate::from_pem(format!("{part}{END}\n").as_bytes()).map_err(|e| e.to_string());
    let mut parts: Vec<&str> = text.split(END).collect();
    parts.pop(); // what lies behind the last one
    if parts.is_empty() && !text.trim().is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    parts.into_iter().map(one).collect()
}

/// The thread, running.
#[derive(Debug)]
pub struct Worker {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts it. `seed` is for the jitter of waits.
    pub fn start(app: App, relay: Relay, seed: u64) -> Self {
        app.mailing().employ(relay.server.clone());
        let (stop, mut stopping) = watch::channel(false);
        let run = move || {
            // Where it is not allowed, the thread competes with the others.
            let _ = rustix::process::setpriority_process(None, NICENESS);
            while !*stopping.borrow_and_update() {
                let work = AssertUnwindSafe(|| work(&app, &relay, seed, stopping.clone()));
                if catch_unwind(work).is_err() {
                    tracing::error!("a bug in the dispatcher of mail; starting over from what is noted");
                    thread::sleep(PANIC_PAUSE);
                }
            }
        };
        let thread = thread::Builder::new().name("maitred-mail".into()).spawn(run);
        Worker { stop, thread: thread.expect("a thread can be started") }
    }

    /// Ends it. What is under way and is not answered in two seconds is sent again after the next start.
    pub fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.thread.join(); // a panic was reported by the thread itself
    }
}

fn work(app: &App, relay: &Relay, seed: u64, stopping: watch::Receiver<bool>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(dispatch(app, relay, seed, stopping));
}

async fn dispatch(app: &App, relay: &Relay, seed: u64, mut stopping: watch::Receiver<bool>) {
    let (engine, mailing) = (app.engine(), app.mailing());
    let transport: Transport = relay.builder.clone().build();
    let mut dispatcher = Dispatcher::new(seed);
    let mut published = engine.watch();
    let mut flights = JoinSet::new();
    let submit = |tenant, command| app.enter((tenant, Actor::System), None, COMMAND_BYTES, command).ok();
    while !*stopping.borrow_and_update() {
        published.borrow_and_update(); // before the view is taken: what comes later wakes
        let step = dispatcher.step(&engine.view(), engine.now(), &relay.server, &mut { submit });
        for (number, letter) in step.letters {
            let (transport, from, patience) = (transport.clone(), relay.from.clone(), relay.patience);
            let sending = async move { send(&transport, from, letter, patience).await };
            flights.spawn(async move { (number, contained(sending).await) });
        }
        tokio::time::sleep(PAUSE).await;
        let finished = tokio::select! {
            _ = stopping.changed() => None,
            finished = flights.join_next(), if !flights.is_empty() => finished,
            _ = published.changed() => None,
            () = tokio::time::sleep(step.patience) => None,
        };
        let mut next = finished;
        while let Some(Ok((number, sent))) = next {
            dispatcher.finished(number, &sent, &engine.view(), engine.now(), mailing);
            next = flights.try_join_next();
        }
    }
    let ends = tokio::time::Instant::now() + STOP_PATIENCE;
    while let Ok(Some(Ok((number, sent)))) = tokio::time::timeout_at(ends, flights.join_next()).await {
        dispatcher.finished(number, &sent, &engine.view(), engine.now(), mailing);
    }
    dispatcher.leave(&engine.view(), &mut { submit });
}

/// What came of a letter, also where sending it panics: its place among those that are sent at once is free again, and it
/// waits as one that was put off.
async fn contained(sending: impl Future<Output = Sent>) -> Sent {
    AssertUnwindSafe(sending).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a bug at sending a mail: it is put off");
        Sent::Later("the server failed at sending it; its log has the details".to_owned())
    })
}

async fn send(transport: &Transport, from: Address, letter: Letter, patience: Duration) -> Sent {
    let is_plain = letter.address.is_ascii();
    let message = match message(from, letter) {
        Ok(message) => message,
        Err(reason) => return Sent::Never(reason),
    };
    match tokio::time::timeout(patience, transport.send(message)).await {
        Ok(Ok(response)) => Sent::Taken(said(&response)),
        Ok(Err(error)) => judged(&error, is_plain),
        // It may have taken it: what is sent again and again within minutes would be that mail a thousand times.
        Err(_) => Sent::Later("the mail server was too slow".to_owned()),
    }
}

fn said(response: &Response) -> String {
    format!("{} {}", response.code(), response.first_line().unwrap_or_default())
}

/// What an error means for the mail, and for others.
fn judged(error: &smtp::Error, address_is_plain: bool) -> Sent {
    let text = error.to_string();
    let code = error.status().map(|code| code.to_string().parse::<u16>().unwrap_or_default());
    match code {
        Some(code) if NO_LEAVE.contains(&code) => Sent::NoServer(text),
        Some(_) if error.is_permanent() => Sent::Never(text),
        Some(_) if error.is_transient() => Sent::Later(text),
        // The server does not speak of such addresses (RFC 6531); of all others it is not to blame the mail.
        None if error.is_client() && !address_is_plain => Sent::Never(text),
        _ => Sent::NoServer(text),
    }
}

/// The mail as it goes over the wire.
fn message(from: Address, letter: Letter) -> Result<Message, String> {
    let head = |name, value: &str| HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned());
    let parsed = |address: &str| address.parse::<Address>().map_err(|error| error.to_string());
    let to = Mailbox::new(letter.name.as_deref().map(one_line), parsed(&letter.address)?);
    let micros = u64::try_from(letter.date.as_micros()).unwrap_or_default();
    let mut builder = Message::builder()
        .from(Mailbox::new(Some(one_line(&letter.sender_name)), from))
        .to(to)
        .subject(one_line(&letter.subject))
        .message_id(Some(format!("<{}>", letter.message_id)))
        .date(SystemTime::UNIX_EPOCH + Duration::from_micros(micros))
        // That no person wrote it, so that none of their programs answers it (RFC 3834).
        .raw_header(head("Auto-Submitted", "auto-generated"))
        .raw_header(head("Content-Language", letter.language));
    if let Some(Ok(address)) = letter.reply_to.as_deref().map(parsed) {
        builder = builder.reply_to(Mailbox::new(None, address));
    }
    let texts = MultiPart::alternative()
        .singlepart(SinglePart::plain(letter.text))
        .singlepart(SinglePart::html(letter.html));
    let message = match letter.calendar {
        None => builder.multipart(texts),
        Some(calendar) => {
            let kind = format!("text/calendar; charset=utf-8; method={}", calendar.method);
            let kind = ContentType::parse(&kind).map_err(|error| error.to_string())?;
            let attachment = Attachment::new("appointment.ics".to_owned()).body(calendar.text, kind);
            builder.multipart(MultiPart::mixed().multipart(texts).singlepart(attachment))
        }
    };
    message.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use maitred_core::Timestamp;

    use super::*;

    #[test]
    fn a_letter_at_which_sending_panics_is_put_off() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let is_broken = std::hint::black_box(true);
        let sent = runtime.block_on(contained(async move {
            assert!(!is_broken, "a bug");
            Sent::Taken("250".to_owned())
        }));
        assert!(matches!(sent, Sent::Later(_)), "{sent:?}");
        let sent = runtime.block_on(contained(async { Sent::Taken("250".to_owned()) }));
        assert_eq!(sent, Sent::Taken("250".to_owned()));
    }

    #[test]
    fn a_mail_says_its_language_and_that_nobody_wrote_it() {
        let letter = Letter {
            message_id: "a@example.com".to_owned(),
            date: Timestamp::default(),
            sender_name: "Salon".to_owned(),
            reply_to: None,
            name: None,
            address: "eve@example.com".to_owned(),
            subject: "Ihr Termin".to_owned(),
            language: "de",
            text: "Hallo".to_owned(),
            html: "<p>Hallo</p>".to_owned(),
            calendar: None,
        };
        let message = message("salon@example.com".parse().expect("an address"), letter).expect("a mail");
        let text = String::from_utf8(message.formatted()).expect("UTF-8");
        for line in ["Content-Language: de\r\n", "Auto-Submitted: auto-generated\r\n"] {
            assert!(text.contains(line), "{text}");
        }
    }
}
