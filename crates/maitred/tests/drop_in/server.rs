//! A server of its own for a test, on a free loopback port and in a folder that goes with it.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use maitred::assemble::Node;
use maitred::{router, serve};
use maitred_booking::app::{Accepted, Access, App};
use maitred_booking::{Command, Outcome};
use maitred_core::{Actor, TenantNumber};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::reconciled;

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
    pub(crate) router: Router,
    runtime: Runtime,
    stop: Option<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)>,
    node: Option<Node>,
    folder: PathBuf,
}

impl Server {
    /// One that asks nobody who they are, with the default tenant `default`.
    pub(crate) fn open() -> Server {
        Server::start(Access::Open, "default")
    }

    pub(crate) fn start(access: Access, default_tenant: &str) -> Server {
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let name =
            format!("maitred-drop-in-{}-{}", std::process::id(), FOLDERS.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        let node = Node::start(&folder).expect("the node starts");
        let app = node.app(access, default_tenant).expect("the folder has its keys");
        let (router, _) = router::router(&app);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let serving = serve::serve(listener, router.clone(), async move {
            let _ = stopped.await; // a dropped sender stops it too
        });
        let serving = runtime.spawn(serving);
        Server { address, app, router, runtime, stop: Some((stop, serving)), node: Some(node), folder }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Every byte of the log's files.
    pub(crate) fn log_bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.join("log")).expect("the log is there");
        let read = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read(entry?.path());
        files.flat_map(|entry| read(entry).expect("a file")).collect()
    }

    /// Decides a command that must be accepted.
    pub(crate) fn submit(&self, tenant: TenantNumber, command: impl Into<Command>) -> Outcome {
        let accepted = self.app.submit((tenant, Actor::System), None, 1_024, command);
        let Accepted { outcome, .. } = self.block_on(accepted).expect("accepted");
        outcome
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that has failed says why by itself.
        let unbalanced =
            if std::thread::panicking() { Vec::new() } else { reconciled::differences(&self.app) };
        let (stop, serving) = self.stop.take().expect("a server stops once");
        let _ = stop.send(()); // it may have ended
        let served = self.runtime.block_on(serving);
        self.node.take().expect("a server stops once").stop();
        let removed = std::fs::remove_dir_all(&self.folder);
        if !std::thread::panicking() {
            served.expect("the server did not panic");
            removed.expect("the folder can be removed");
        }
        assert!(unbalanced.is_empty(), "the counts of sales and their orders differ: {unbalanced:?}");
    }
}
