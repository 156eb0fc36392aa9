//! A receiver of webhooks, and what it received.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// One request.
#[derive(Clone, Debug)]
pub struct Received {
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What it answers.
#[derive(Clone, Copy)]
pub enum Answer {
    Status(u16),
    /// To go somewhere else on the same machine.
    Elsewhere,
    /// Nothing, for longer than anybody waits.
    Never,
}

/// Receives until it is dropped.
pub struct Receiver {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Receiver {
    pub fn new(answer: Answer) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), answer)
    }

    pub fn at(address: SocketAddr, answer: Answer) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (received, stop) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(AtomicBool::new(false)));
        let (into, until) = (Arc::clone(&received), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                if until.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                if let Some(request) = read(&stream) {
                    into.lock().unwrap().push(request);
                }
                let text = match answer {
                    Answer::Status(status) => format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"),
                    Answer::Elsewhere => format!(
                        "HTTP/1.1 307 X\r\nLocation: http://{address}/elsewhere\r\nContent-Length: 0\r\n\r\n"
                    ),
                    Answer::Never => {
                        held.push(stream);
                        continue;
                    }
                };
                let _ = stream.write_all(text.as_bytes());
            }
        });
        Self {
            address,
            received,
            stop,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// All that it received so far.
    pub fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The notices among it.
    pub fn notices(&self) -> Vec<Value> {
        self.all().iter().map(Received::json).collect()
    }

    /// The same, once there are so many.
    pub fn wait_for(&self, count: usize) -> Vec<Value> {
        let started = Instant::now();
        while self.all().len() < count {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "{:?}",
                self.notices()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        self.notices()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let headers: BTreeMap<_, _> = lines
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Received {
        line: lines.first()?.clone(),
        headers,
        body,
    })
}
