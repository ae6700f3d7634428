//! A server that takes mail by SMTP (RFC 5321), with STARTTLS and a login, and does with each mail what the first word of
//! its recipient says.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

const CERTIFICATE: &[u8] = include_bytes!("certificates/server.pem");
const KEY: &[u8] = include_bytes!("certificates/server.key.pem");
/// `\0salon\0secret` in base 64: the login that alone is let in where one is asked for.
const LOGIN: &str = "AHNhbG9uAHNlY3JldA==";
/// How long it does not answer to `hang`.
const HANG: Duration = Duration::from_secs(20);

/// A mail that was taken.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) to: String,
    pub(super) secured: bool,
    pub(super) data: Vec<u8>,
}

/// The server, on a port of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Receiver {
    port: u16,
    taken: Arc<Mutex<Vec<Taken>>>,
    /// Whoever was answered otherwise once, and is not again.
    answered: Arc<Mutex<BTreeSet<String>>>,
    away: Arc<AtomicBool>,
    /// Whether nothing is taken before STARTTLS and a login.
    strict: bool,
}

impl Receiver {
    pub(super) fn start(strict: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let receiver = Receiver { port, strict, ..Receiver::default() };
        let serving = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || drop(serving.serve(stream)));
            }
        });
        receiver
    }

    /// Answers nobody from now on, or answers again.
    pub(super) fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    pub(super) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().expect("no panic").clone()
    }

    /// The options of a program that sends by it.
    pub(super) fn options(&self) -> Vec<String> {
        let port = self.port.to_string();
        let given = ["--mail-host", "localhost", "--mail-port", &port, "--mail-from", "post@maitred.example"];
        given.into_iter().map(str::to_owned).collect()
    }

    fn is_first(&self, to: &str) -> bool {
        self.answered.lock().expect("no panic").insert(to.to_owned())
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        if self.away.load(Ordering::SeqCst) {
            return Ok(());
        }
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        (&stream).write_all(b"220 receiver ESMTP\r\n")?;
        let mut plain = BufReader::new(stream);
        if !self.talk(&mut plain, false)? {
            return Ok(());
        }
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a pair");
        let secured = ServerConnection::new(Arc::new(config)).expect("a configuration");
        self.talk(&mut BufReader::new(StreamOwned::new(secured, plain.into_inner())), true).map(drop)
    }

    /// True where the client wants TLS now.
    fn talk<S: Read + Write>(&self, stream: &mut BufReader<S>, secured: bool) -> std::io::Result<bool> {
        let (mut to, mut let_in) = (String::new(), !self.strict);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(false);
            }
            let verb = line.trim().to_ascii_uppercase();
            let answer = match verb.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" if secured => "250-receiver\r\n250-8BITMIME\r\n250 AUTH PLAIN",
                "EHLO" => "250-receiver\r\n250-8BITMIME\r\n250 STARTTLS",
                "STARTTLS" => {
                    stream.get_mut().write_all(b"220 Go ahead\r\n")?;
                    return Ok(true);
                }
                "AUTH" if line.trim().ends_with(LOGIN) => {
                    let_in = secured;
                    "235 Welcome"
                }
                "AUTH" => "535 5.7.8 Who are you?",
                "MAIL" | "RCPT" if !let_in => "530 5.7.0 Log in first",
                "MAIL" | "NOOP" | "RSET" => "250 Fine",
                "RCPT" => {
                    to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                    match to.split(['.', '@']).next().unwrap_or_default() {
                        "later" if self.is_first(&to) => "450 4.2.0 Come again",
                        "never" => "550 5.1.1 <never@example.com>: no such user here",
                        "drop" if self.is_first(&to) => return Ok(false),
                        _ => "250 Fine",
                    }
                }
                "DATA" => {
                    stream.get_mut().write_all(b"354 Go on\r\n")?;
                    let data = read_data(stream)?;
                    if to.starts_with("hang") && self.is_first(&to) {
                        thread::sleep(HANG);
                        return Ok(false);
                    }
                    let taken = Taken { to: to.clone(), secured, data };
                    self.taken.lock().expect("no panic").push(taken);
                    "250 2.0.0 Taken"
                }
                "QUIT" => {
                    stream.get_mut().write_all(b"221 Bye\r\n")?;
                    return Ok(false);
                }
                _ => "500 What?",
            };
            stream.get_mut().write_all(format!("{answer}\r\n").as_bytes())?;
        }
    }
}

fn read_data(stream: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(data);
        }
        data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
