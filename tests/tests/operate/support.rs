//! A server with one token, connections that stay open, and waits that end.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use patrol_tests::gateway::wait_for;
use patrol_tests::program::{Program, Server};
use serde_json::Value;

/// What a configuration of these tests begins with: the machine that runs them may be busier than one that serves.
pub const PATIENT: &str = "[policy]\ndeadline = \"5s\"\n";

/// A data directory with the tenant `acme`, its user `ann` and a token of hers.
pub struct Home {
    pub program: Program,
    pub id: String,
    pub secret: String,
}

impl Home {
    /// With this configuration, after [`PATIENT`].
    pub fn new(configuration: &str) -> Self {
        let program = Program::new();
        std::fs::write(program.configuration(), format!("{PATIENT}{configuration}")).unwrap();
        drop(program.run(&["tenant", "create", "acme"]).json());
        let ann = [
            "user", "create", "--tenant", "acme", "--name", "ann", "--role", "admin",
        ];
        drop(program.run(&ann).json());
        let token = program.token("ann", "nightly", "90d");
        let text = |key: &str| token[key].as_str().unwrap().to_owned();
        Self {
            id: text("id"),
            secret: text("secret"),
            program,
        }
    }

    pub fn configure(&self, configuration: &str) {
        std::fs::write(self.program.configuration(), configuration).unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.program.log()).unwrap()
    }

    /// Waits until the log holds this text as many times.
    #[track_caller]
    pub fn logged(&self, text: &str, times: usize) -> String {
        wait_for(text, || {
            Some(self.log()).filter(|log| log.matches(text).count() >= times)
        })
    }

    /// When the token was last used, as another process sees it.
    pub fn last_used(&self) -> Value {
        self.program.run(&["token", "show", &self.id]).json()["lastUsed"].clone()
    }
}

/// Waits until a server has ended well.
#[track_caller]
pub fn ends(server: &mut Server) {
    let status = wait_for("the end", || server.ended());
    assert!(status.success(), "{status}");
}

/// A connection that is used again.
pub struct Connection(BufReader<TcpStream>);

/// An answer, with all of its headers, names in lower case.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Connection {
    pub fn open(server: SocketAddr) -> Self {
        Self(BufReader::new(patrol_tests::wire::connect(server).unwrap()))
    }

    /// Asks; none if the server has closed the connection instead of answering.
    pub fn ask(&mut self, request: &str, headers: &[(&str, &str)]) -> Option<Answer> {
        let mut head = format!("{request} HTTP/1.1\r\nHost: patrol\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let sent = self.0.get_mut().write_all(head.as_bytes());
        let mut line = String::new();
        match sent.and_then(|()| self.0.read_line(&mut line)) {
            Ok(0) => return None,
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                return None;
            }
            read => read.unwrap(),
        };
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer {
            status,
            headers,
            body: String::new(),
        };
        let length = answer.header("content-length").unwrap_or("0").parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        answer.body = String::from_utf8(body).unwrap();
        Some(answer)
    }

    /// Asks as nginx does, with these headers besides.
    pub fn check(&mut self, headers: &[(&str, &str)]) -> Option<Answer> {
        let gateway = [("X-Original-URI", "/thing?query=1"), ("X-Original-Method", "GET")];
        self.ask("GET /check/nginx", &[&gateway, headers].concat())
    }

    /// The same, with a token.
    pub fn present(&mut self, secret: &str) -> Option<Answer> {
        self.check(&[("Authorization", &format!("Bearer {secret}"))])
    }
}

/// Asks on a connection of its own.
pub fn get(server: SocketAddr, path: &str) -> Answer {
    let mut connection = Connection::open(server);
    connection.ask(&format!("GET {path}"), &[]).expect("an answer")
}
