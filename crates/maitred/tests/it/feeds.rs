//! A provider in this process: it answers each request with what the test has set.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How a request is answered.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    /// With a feed; 304 to who has it.
    Feed(String),
    /// With another status.
    Status(u16),
    /// With the first half of a feed, and the end of the connection.
    Half(String),
    /// With something else than a feed.
    Other(&'static str),
    /// With a head that announces 3 GiB, and nothing behind it.
    TooLong,
    /// Never.
    Nothing,
}

/// A provider that listens.
pub(crate) struct Feeds {
    pub(crate) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    says: Says,
    /// The headers of every request so far, as they came.
    asked: Vec<String>,
}

impl Feeds {
    pub(crate) fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Mutex::new(Shared { says, asked: Vec::new() }));
        let answering = Arc::clone(&shared);
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.expect("a connection"), Arc::clone(&answering));
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        Feeds { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/feed.xml", self.address)
    }

    pub(crate) fn say(&self, says: Says) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).says = says;
    }

    /// The headers of the requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }
}

fn answer(mut stream: TcpStream, shared: &Mutex<Shared>) {
    let mut head = String::new();
    let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            break;
        }
        head += &line.to_ascii_lowercase();
        head.push('\n');
    }
    let says = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.asked.push(head.clone());
        shared.says.clone()
    };
    let answer = match says {
        Says::Feed(feed) => {
            let etag = format!("\"{}\"", blake3::hash(feed.as_bytes()).to_hex());
            if head.contains(&format!("if-none-match: {etag}")) {
                "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_owned()
            } else {
                format!("HTTP/1.1 200 OK\r\nETag: {etag}\r\nContent-Length: {}\r\n\r\n{feed}", feed.len())
            }
        }
        Says::Status(status) => format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n"),
        Says::Half(feed) => {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", feed.len(), &feed[..feed.len() / 2])
        }
        Says::Other(text) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()),
        Says::TooLong => "HTTP/1.1 200 OK\r\nContent-Length: 3221225472\r\n\r\n".to_owned(),
        Says::Nothing => {
            std::thread::sleep(Duration::from_secs(60));
            return;
        }
    };
    let _ = stream.write_all(answer.as_bytes()); // the server may have gone
}

/// A feed of so many events, `id` and title by their numbers; each starts an hour after the one before.
pub(crate) fn feed(numbers: impl IntoIterator<Item = u32>, title: &str) -> String {
    let mut feed = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<planList><output>\n".to_owned();
    for number in numbers {
        let at = |minutes: u32| {
            let minutes = number * 60 + minutes;
            let (day, hour, minute) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
            let (month, day) = (day / 28 % 12 + 1, day % 28 + 1);
            format!("{}-{month:02}-{day:02}T{hour:02}:{minute:02}:00", 2030 + number * 60 / (1_440 * 336))
        };
        write!(
            feed,
            "<base_plan base_plan_id=\"{number}\" sell_mode=\"online\" title=\"{title} {number}\">\n\
             <plan plan_id=\"1\" plan_start_date=\"{}\" plan_end_date=\"{}\" sell_from=\"2020-01-01T00:00:00\" \
             sell_to=\"{}\" sold_out=\"false\">\n\
             <zone zone_id=\"1\" capacity=\"100\" price=\"15.00\" name=\"Floor\" numbered=\"false\"/>\n\
             <zone zone_id=\"2\" capacity=\"50\" price=\"30.50\" name=\"Seats\" numbered=\"true\"/>\n\
             </plan></base_plan>\n",
            at(0),
            at(45),
            at(0),
        )
        .expect("a string takes everything");
    }
    feed + "</output></planList>\n"
}
