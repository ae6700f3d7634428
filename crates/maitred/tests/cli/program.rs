//! Running the binary: to its end, or as a server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest that a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that goes with the value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let name = format!("maitred-cli-{}-{}", std::process::id(), FOLDERS.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("the temporary folder takes folders");
        Folder(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The same as text, for arguments.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).expect("the folder takes files");
        self.arg(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // left behind at worst
    }
}

/// What became of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Asserts how it ended and what it said on standard error.
    #[track_caller]
    pub(crate) fn fails(self, status: i32, said: &[&str]) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        for said in said {
            assert!(self.stderr.contains(said), "{said:?} is not said: {self:?}");
        }
        self
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.status, 0, "{self:?}");
        self
    }
}

fn command(args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maitred"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MAITRED_")) {
        command.env_remove(name);
    }
    command.args(args).envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Ran {
    run_with(args, &[])
}

/// The same with variables.
pub(crate) fn run_with(args: &[&str], variables: &[(&str, &str)]) -> Ran {
    let output = command(args, variables).output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let status = output.status.code().expect("no signal ends it");
    Ran { status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs the program with nobody who reads its output.
pub(crate) fn run_unread(args: &[&str]) -> Ran {
    let mut child =
        command(args, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    let status = output.status.code().expect("no signal ends it");
    Ran { status, stdout: String::new(), stderr: String::from_utf8(output.stderr).expect("UTF-8") }
}

/// A running server. Killed with the value, after a look at its sales.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What it wrote to standard output up to and with the line that says it listens.
    pub(crate) greeting: String,
    errors: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts one on a free port. Files of the log are small, so that there soon are several.
    pub(crate) fn start(data: &Path, args: &[&str]) -> Server {
        let data = data.display().to_string();
        let mut all = vec!["serve", "--data", &data, "--segment-bytes", "65536", "--free-bytes", "0"];
        if !args.contains(&"--listen") {
            all.extend(["--listen", "127.0.0.1:0"]);
        }
        all.extend(args);
        Server::start_with(&all, &[])
    }

    /// Starts one with these arguments and variables alone.
    pub(crate) fn start_with(args: &[&str], variables: &[(&str, &str)]) -> Server {
        let mut command = command(args, variables);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let mut errors = child.stderr.take().expect("piped");
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).expect("UTF-8");
            text
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut greeting = String::new();
        let address = loop {
            let start = greeting.len();
            if stdout.read_line(&mut greeting).expect("UTF-8") == 0 {
                let status = child.wait().expect("it ended");
                let errors = errors.join().expect("errors are read");
                panic!("the server ended before it was ready: {status}\n{greeting}\n{errors}");
            }
            if let Some(url) = greeting[start..].trim_end().strip_prefix("listening on http://") {
                break url.parse().expect("an address");
            }
        };
        Server { child, address, greeting, errors: Some(errors) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Waits for its end: how it ended, and what it wrote to standard error.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status;
            }
            assert!(started.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        (status, self.errors.take().expect("once").join().expect("errors are read"))
    }

    /// What every test ends with, whether or not it thinks of it: each sale's reconciliation is green, at a server that
    /// is up and asks for no key.
    fn check_sales(&mut self) {
        if std::thread::panicking() || !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let read = |path: &str| {
            let (status, body) = ask(self.address, "GET", path, "", "")?;
            (status == 200).then(|| serde_json::from_str::<Value>(&body).expect("JSON"))
        };
        let items = |path: &str, field: &str| {
            let page = read(path).unwrap_or_default();
            let items = page["items"].as_array().cloned().unwrap_or_default();
            items.into_iter().filter_map(|item| Some(item[field].as_str()?.to_owned())).collect::<Vec<_>>()
        };
        for tenant in items("/v1/tenants?limit=1000", "slug") {
            for sale in items(&format!("/v1/tenants/{tenant}/sales?limit=1000"), "id") {
                let found = read(&format!("/v1/tenants/{tenant}/sales/{sale}/reconciliation"));
                let found = found.unwrap_or_default();
                assert_eq!(found["balanced"], Value::Bool(true), "sale {sale} of {tenant}: {found}");
            }
        }
    }

    /// Stops it gracefully, and gives what it wrote to standard error.
    pub(crate) fn stop(mut self) -> String {
        self.check_sales();
        self.signal("TERM");
        let (status, errors) = self.wait();
        assert_eq!(status.code(), Some(0), "{errors}");
        errors
    }

    /// A request on a connection of its own: status and body.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        ask(self.address, method, path, headers, body).expect("an answer")
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.ask("GET", path, "", "");
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// Puts an appointment of the demo tenant, on a chair of its own.
    #[track_caller]
    pub(crate) fn put(&self, number: usize, updated_at: usize) {
        let answer = try_put(self.address, number, updated_at);
        assert!(matches!(answer, Some((200 | 201, _))), "test-{number}: {answer:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let checked = catch_unwind(AssertUnwindSafe(|| self.check_sales()));
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
        if let Some(Ok(errors)) =
            self.errors.take().filter(|_| std::thread::panicking()).map(JoinHandle::join)
        {
            eprintln!("the server said:\n{errors}");
        }
        if let Err(panic) = checked {
            resume_unwind(panic);
        }
    }
}

/// Puts an appointment of the demo tenant, at a server that may go away meanwhile.
pub(crate) fn try_put(address: SocketAddr, number: usize, updated_at: usize) -> Option<(u16, String)> {
    let day = 1 + number % 28;
    let month = 1 + number / 28 % 12;
    let year = 2100 + number / (28 * 12);
    let body = format!(
        "{{\"resource\":\"test\",\"starts_at\":\"{year}-{month:02}-{day:02}T10:00:00Z\",\"ends_at\":\"{year}-{month:02}-\
         {day:02}T11:00:00Z\",\"created_at\":\"2000-01-01T00:00:00Z\",\"updated_at\":\"{}-01-01T00:00:00Z\",\
         \"title\":\"{}\"}}",
        2000 + updated_at,
        "x".repeat(150),
    );
    let path = format!("/v1/tenants/demo/appointments/test-{number}");
    ask(address, "PUT", &path, "Content-Type: application/json\r\n", &body)
}

fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).expect("UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.get(9..12)?.parse().ok()?;
    let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        unchunk(body)?
    } else {
        body.to_owned()
    };
    Some((status, body))
}

/// A body out of its chunks; `None` if it was cut short.
fn unchunk(mut chunked: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (length, rest) = chunked.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.push_str(rest.get(..length)?);
        chunked = rest.get(length + 2..)?;
    }
}
