//! Which addresses a name has.
//!
//! Next: [`super::client`], which looks at every address of an answer before it speaks to any.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// The most names that are being resolved at once: each takes a thread, until the system's resolver gives up.
pub const RESOLVING_MAX: usize = 64;

/// The addresses of a name, when they are known.
pub type Addresses<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Resolves names. Asked once for a request: the request goes to an address of that very answer, so that a name
/// which means something else a moment later gains nothing.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of `host`, best first.
    fn resolve<'a>(&'a self, host: &'a str) -> Addresses<'a>;
}

/// The resolver of the operating system, with its files and settings.
#[derive(Debug)]
pub struct SystemResolver {
    places: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        SystemResolver { places: Arc::new(Semaphore::new(RESOLVING_MAX)) }
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Addresses<'a> {
        Box::pin(async move {
            let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
            let host = host.to_owned();
            // The place is given back when the thread is free, not when nobody waits for it any more.
            let resolve = move || {
                let found =
                    (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|at| at.ip()).collect());
                drop(place);
                found
            };
            tokio::task::spawn_blocking(resolve).await.map_err(io::Error::other)?
        })
    }
}
