//! A PostgreSQL of its own, on a free port of the loopback.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::Folder;

/// The longest that it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// PostgreSQL refuses to run as root: then it runs as nobody.
const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// A running database. Killed with the value.
pub(crate) struct Postgres {
    folder: Folder,
    port: u16,
    child: Option<Child>,
}

impl Postgres {
    pub(crate) fn start() -> Postgres {
        let folder = Folder::new();
        if is_root() {
            let status = Command::new("chown").args(["65534:65534", &folder.arg("")]).status();
            assert!(status.expect("chown is there").success());
        }
        let made = as_its_user("initdb")
            .args(["--auth=trust", "--username=maitred", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(folder.path("data"))
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let mut postgres = Postgres { folder, port, child: None };
        postgres.start_again();
        postgres
    }

    /// Starts it on the data that are there.
    pub(crate) fn start_again(&mut self) {
        let child = as_its_user("postgres")
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", "", "-F", "-D"])
            .arg(self.folder.path("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("postgres runs"));
        let started = Instant::now();
        while self.try_ask("SELECT 1").is_none() {
            assert!(started.elapsed() < PATIENCE, "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = Command::new("kill").args(["-s", "QUIT", &child.id().to_string()]).status();
        let _ = child.wait(); // it may have ended
    }

    /// What `--to` takes.
    pub(crate) fn url(&self) -> String {
        format!("postgres://maitred@127.0.0.1:{}/postgres", self.port)
    }

    /// The rows of a query: their columns as texts, with blanks between.
    #[track_caller]
    pub(crate) fn ask(&self, query: &str) -> Vec<String> {
        self.try_ask(query).expect("it answers").unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// What it says against a statement.
    pub(crate) fn refusal(&self, statement: &str) -> String {
        self.try_ask(statement).expect("it answers").expect_err("it refuses")
    }

    /// The rows of a query, or what it says against it; `None` where it cannot be reached.
    pub(crate) fn try_ask(&self, query: &str) -> Option<Result<Vec<String>, String>> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let connected = tokio_postgres::connect(&self.url(), tokio_postgres::NoTls).await;
            let (client, connection) = connected.ok()?; // it starts still
            tokio::spawn(connection);
            let answer = client.simple_query(query).await;
            let said = |error: tokio_postgres::Error| match error.as_db_error() {
                Some(said) => said.message().to_owned(),
                None => error.to_string(),
            };
            Some(answer.map_err(said).map(|messages| messages.iter().filter_map(row).collect()))
        })
    }
}

fn row(message: &tokio_postgres::SimpleQueryMessage) -> Option<String> {
    let tokio_postgres::SimpleQueryMessage::Row(row) = message else { return None };
    let columns: Vec<&str> = (0..row.len()).map(|column| row.get(column).unwrap_or("-")).collect();
    Some(columns.join(" "))
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id is there");
    id.stdout.starts_with(b"0\n")
}

/// A program of PostgreSQL, as a user under whom it runs. Debian keeps them out of the path.
fn as_its_user(program: &str) -> Command {
    let path = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain(
            std::fs::read_dir("/usr/lib/postgresql")
                .into_iter()
                .flatten()
                .flatten()
                .map(|of| of.path().join("bin")),
        )
        .map(|folder| folder.join(program))
        .find(|path: &PathBuf| path.is_file())
        .unwrap_or_else(|| panic!("{program} is not installed: apt-get install postgresql"));
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new(NOBODY[0]);
    command.args(&NOBODY[1..]).arg(path).current_dir("/");
    command
}
