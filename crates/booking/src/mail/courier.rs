//! What mail needs besides the log and the view: a server that takes it, as the program's configuration names it, and
//! what is counted for `/metrics`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The server that takes mail, as far as mails speak of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// The address of every sender.
    pub from: String,
    /// The most mails in a second, those of all tenants together.
    pub per_second: u32,
    /// The most that are sent beside each other.
    pub connections: usize,
}

impl MailServer {
    /// The part of the sender's address behind the `@`: where every `Message-ID` is from.
    pub fn domain(&self) -> &str {
        self.from.rsplit_once('@').map_or("localhost", |(_, domain)| domain)
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The server has taken the mail.
    Taken(String),
    /// The server does not take it now (4xx).
    Later(String),
    /// The server will never take it (5xx), or it cannot be written.
    Never(String),
    /// There is no server that takes any: no connection, no answer, no leave to send.
    NoServer(String),
}

/// What mail needs besides the log and the view. One of an application.
#[derive(Debug, Default)]
pub struct Mailing {
    server: OnceLock<MailServer>,
    /// What the dispatcher does, for `/metrics`.
    pub status: Status,
}

impl Mailing {
    /// Names the server that takes mail; a second call changes nothing.
    pub fn employ(&self, server: MailServer) {
        let _ = self.server.set(server);
    }

    /// The server that takes mail, if the configuration names one.
    pub fn server(&self) -> Option<&MailServer> {
        self.server.get()
    }
}

/// What the dispatcher does.
#[derive(Debug, Default)]
pub struct Status {
    /// Attempts that a server has taken.
    pub sent: AtomicU64,
    /// Attempts that are made again (4xx).
    pub put_off: AtomicU64,
    /// Attempts that made a dead letter (5xx).
    pub refused: AtomicU64,
    /// Attempts at a server that was not there.
    pub no_server: AtomicU64,
}

impl Status {
    pub(super) fn count(&self, sent: &Sent) {
        let counter = match sent {
            Sent::Taken(_) => &self.sent,
            Sent::Later(_) => &self.put_off,
            Sent::Never(_) => &self.refused,
            Sent::NoServer(_) => &self.no_server,
        };
        counter.fetch_add(1, Relaxed);
    }
}
