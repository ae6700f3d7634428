//! A server in this process, on a port and a folder of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use maitred::assemble::Node;
use maitred::config::Storage;
use maitred::webhooks::Workers;
use maitred::{router, serve};
use maitred_booking::app::{Access, App};
use maitred_booking::tenants::{self, Role};
use maitred_connectors::outgoing::{Client, Settings};
use maitred_core::{Actor, Ids, TenantNumber, Timestamp};
use maitred_engine::batch::Idempotency;
use maitred_engine::clock::{Clock, SystemClock};
use maitred_web::auth::ApiKey;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::Request;
use crate::reconciled;

/// A started server. Dropping it looks whether the counts of every sale agree with its orders, drains and stops it,
/// and removes its folder.
pub(crate) struct Server {
    pub(crate) app: App,
    address: SocketAddr,
    key: Option<String>,
    runtime: Handle,
    /// In a mutex for the threads of tests, which share the server: not all in it is `Sync`.
    running: Mutex<Option<Running>>,
}

struct Running {
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    workers: Workers,
    node: Node,
    dir: PathBuf,
}

impl Server {
    /// A server that demands no keys, with the tenant `default`.
    pub(crate) fn open() -> Self {
        Server::start(Access::Open)
    }

    /// A server that demands keys, with a tenant `salon`. Requests carry an admin's key.
    pub(crate) fn with_keys() -> Self {
        Server::start(Access::Keys).keyed()
    }

    /// The same as [`Server::open`], by another clock than the machine's.
    pub(crate) fn open_by(clock: Arc<dyn Clock>) -> Self {
        Server::start_by(clock, Access::Open)
    }

    /// The same as [`Server::with_keys`], by another clock than the machine's.
    pub(crate) fn with_keys_by(clock: Arc<dyn Clock>) -> Self {
        Server::start_by(clock, Access::Keys).keyed()
    }

    fn keyed(mut self) -> Self {
        self.key = Some(self.make_key(None, Role::Admin));
        self.tenant("salon");
        self
    }

    fn start(access: Access) -> Self {
        Server::start_by(Arc::new(SystemClock::default()), access)
    }

    fn start_by(clock: Arc<dyn Clock>, access: Access) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let dir =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("it-{}-{number}", std::process::id()));
        let storage = Storage { segment_bytes: 4 << 20, ..Storage::default() };
        let node = Node::start_by(clock, &dir, &storage).expect("a fresh folder");
        let app = node.app(access, "default").expect("a folder that can be written");
        // What webhooks reach is this machine, by its address.
        let allowed = vec!["127.0.0.1".parse().expect("a host")];
        let client = Client::new(Settings { allowed, roots: Vec::new() }).expect("a client");
        let workers = node.employ(&app, client).expect("a folder that can be written");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (stop, stopped) = oneshot::channel();
        let (router, _) = router::router(&app);
        let (address, served) = runtime.block_on(async {
            app.ensure_default_tenant().await.expect("a fresh folder takes the default tenant");
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("an address");
            let stopped = async { drop(stopped.await) };
            (address, tokio::spawn(serve::serve(listener, router, stopped)))
        });
        app.readiness().ready();
        let handle = runtime.handle().clone();
        let running = Mutex::new(Some(Running { runtime, stop, served, workers, node, dir }));
        Server { app, address, key: None, runtime: handle, running }
    }

    /// An API key of a tenant, or with `None` of the server, made without the API.
    pub(crate) fn make_key(&self, tenant: Option<TenantNumber>, role: Role) -> String {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("random bits");
        let secret = ApiKey::from_random(&bytes);
        let seed = u64::from_le_bytes(*bytes.first_chunk().expect("32 bytes"));
        let command = tenants::Command::CreateApiKey(tenants::CreateApiKey {
            tenant,
            id: Ids::new(Timestamp::from_millis(1_700_000_000_000), seed).next(),
            name: "test".to_owned(),
            role,
            secret_hash: secret.hash().0,
        });
        let who = (TenantNumber::SYSTEM, Actor::System);
        let created = self.runtime.block_on(self.app.submit(who, None, 256, command));
        created.expect("the key is created");
        secret.reveal().to_owned()
    }

    /// Has an anonymous caller's command decided without the API. It is accepted.
    pub(crate) fn submit(
        &self,
        tenant: &str,
        idempotency: Option<Idempotency>,
        command: impl Into<maitred_booking::Command>,
    ) {
        let who = (self.number(tenant), Actor::Anonymous);
        self.runtime.block_on(self.app.submit(who, idempotency, 256, command)).expect("it is accepted");
    }

    /// The same for a command of the server's own tenant, by the server itself.
    pub(crate) fn submit_to_server(&self, command: impl Into<maitred_booking::Command>) {
        let who = (TenantNumber::SYSTEM, Actor::System);
        self.runtime.block_on(self.app.submit(who, None, 256, command)).expect("it is accepted");
    }

    /// The number of a tenant.
    pub(crate) fn number(&self, slug: &str) -> TenantNumber {
        self.app.tenant(slug).expect("the tenant is there").number
    }

    /// A key of the tenant `slug`.
    pub(crate) fn tenant_key(&self, slug: &str, role: Role) -> String {
        self.make_key(Some(self.number(slug)), role)
    }

    /// Creates a tenant.
    pub(crate) fn tenant(&self, slug: &str) -> Value {
        self.post("/v1/tenants").json(&tenant_input(slug)).send().ok(201)
    }

    /// A request with the server's admin key, where it demands keys.
    pub(crate) fn request(&self, method: &'static str, path: impl Into<String>) -> Request {
        let request = self.anonymous(method, path);
        match &self.key {
            Some(key) => request.key(key),
            None => request,
        }
    }

    /// A request without credentials.
    pub(crate) fn anonymous(&self, method: &'static str, path: impl Into<String>) -> Request {
        Request::new(self.address, method, path)
    }

    pub(crate) fn get(&self, path: impl Into<String>) -> Request {
        self.request("GET", path)
    }

    pub(crate) fn post(&self, path: impl Into<String>) -> Request {
        self.request("POST", path)
    }

    pub(crate) fn put(&self, path: impl Into<String>, body: &Value) -> Request {
        self.request("PUT", path).json(body)
    }

    pub(crate) fn patch(&self, path: impl Into<String>, body: &Value) -> Request {
        self.request("PATCH", path).json(body)
    }

    pub(crate) fn delete(&self, path: impl Into<String>) -> Request {
        self.request("DELETE", path)
    }

    /// The runtime of the server.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// The data folder.
    pub(crate) fn folder(&self) -> PathBuf {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().expect("it runs until it is dropped").dir.clone()
    }

    /// What the server says of its sales that is not green.
    fn unbalanced(&self) -> Vec<String> {
        let mut found = reconciled::differences(&self.app);
        for (slug, _, sale) in reconciled::sales(&self.app) {
            let path = format!("/v1/tenants/{slug}/sales/{sale}/reconciliation");
            let answer = self.get(path).send();
            let body = answer.ok(200);
            if (&body["balanced"], &body["differences"]) != (&json!(true), &json!([])) {
                found.push(body.to_string());
            }
        }
        found
    }

    /// Where the log ends. A request that wrote nothing leaves it where it was.
    pub(crate) fn position(&self) -> String {
        self.app.engine().position().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that has failed says why by itself.
        let unbalanced = if std::thread::panicking() { Vec::new() } else { self.unbalanced() };
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { runtime, stop, served, workers, node, dir }) = running else { return };
        self.app.readiness().drain();
        let _ = stop.send(()); // it may have panicked
        let _ = runtime.block_on(served); // and then says so here
        drop(runtime);
        workers.stop();
        node.stop();
        let _ = std::fs::remove_dir_all(dir); // what is left lies in the target folder
        assert!(unbalanced.is_empty(), "the counts of sales and their orders differ: {unbalanced:?}");
    }
}

/// A tenant that every rule accepts.
pub(crate) fn tenant_input(slug: &str) -> Value {
    json!({
        "slug": slug, "name": "Salon", "time_zone": "Europe/Berlin", "currency": "EUR", "locale": "de-DE",
    })
}
