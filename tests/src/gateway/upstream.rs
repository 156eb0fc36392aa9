//! The service to protect: it answers each request with what it got.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

/// A request as it arrived at the service.
#[derive(Debug, Serialize, Deserialize)]
pub struct Arrived {
    pub method: String,
    pub target: String,
    /// How long the body is, bytes.
    pub body: usize,
    /// The [`sum`] of the body.
    pub sum: u64,
    headers: Vec<(String, String)>,
}

impl Arrived {
    /// The values of a header, with their number.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The value of a header that is there once.
    pub fn header(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [value] => value,
            ref values => panic!("{name}: {values:?} in {self:?}"),
        }
    }
}

/// A service on a port of its own. Its threads end with the test's process.
pub struct Upstream {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl Upstream {
    pub fn start() -> Self {
        Self::answering(true)
    }

    /// One that answers `ok` to everything: to measure what is before it.
    pub fn quiet() -> Self {
        Self::answering(false)
    }

    fn answering(tells: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let count = Arc::clone(&count);
                std::thread::spawn(move || while answer(&stream, &count, tells).is_some() {});
            }
        });
        Self { port, requests }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many requests have arrived.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Answers one request, unless the client is gone: with what it was, or not.
fn answer(stream: &TcpStream, count: &AtomicUsize, tells: bool) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let mut arrived = Arrived {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        body: 0,
        sum: sum(b""),
        headers: Vec::new(),
    };
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => arrived.headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    count.fetch_add(1, Ordering::SeqCst);
    if let [length] = arrived.all("content-length")[..] {
        let mut body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        arrived.body = body.len();
        arrived.sum = sum(&body);
    }
    let body = if tells {
        serde_json::to_string(&arrived).ok()?
    } else {
        "ok".to_owned()
    };
    let mut stream = stream;
    // In one piece: the second of two would wait for the acknowledgement of the first.
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).ok()
}

/// A number by which it is seen whether a text arrived as it was (FNV-1a).
pub fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
