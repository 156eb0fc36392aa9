//! HTTP as it is on the wire: requests written byte by byte, answers read whole. No client library puts anything
//! right.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers in order, names in lower case, without `date` and `x-request-id`, which are never the same.
    pub headers: Vec<(String, String)>,
    /// The body; as text with what is no text replaced.
    pub body: String,
    /// How much came of the body, in bytes.
    pub length: usize,
}

impl Answer {
    /// The value of a header that is there once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(header, _)| header == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice: {self:?}");
        value
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends the first line, these headers and a body, on a connection of its own.
///
/// # Errors
/// Where there is no whole answer.
pub fn send(
    server: SocketAddr,
    request: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = connect(server)?;
    let mut head = format!("{request} HTTP/1.1\r\nHost: patrol\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    // A server may answer, and close, before it has read a body that it does not want.
    let _ = stream.write_all(body);
    receive(stream)
}

/// A connection that does not wait for ever.
///
/// # Errors
/// Where nobody listens.
pub fn connect(server: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

/// Reads an answer, to the end of the connection.
///
/// # Errors
/// Where there is no whole answer.
pub fn receive(mut stream: TcpStream) -> std::io::Result<Answer> {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        read?;
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    };
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .filter(|(name, _)| name != "date" && name != "x-request-id");
    let answer = Answer {
        status: status.ok_or(std::io::ErrorKind::InvalidData)?,
        headers: headers.collect(),
        body: body.to_owned(),
        length: bytes.len().saturating_sub(head.len().saturating_add(4)),
    };
    let whole = answer
        .headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .is_none_or(|(_, length)| length.parse() == Ok(body.len()));
    if whole {
        Ok(answer)
    } else {
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

/// Asks as nginx does on behalf of a request for `/thing`.
///
/// # Panics
/// Where there is no answer.
#[must_use]
pub fn check(server: SocketAddr, credential: &[(&str, &str)]) -> Answer {
    let gateway = [
        ("X-Original-URI", "/thing?query=1"),
        ("X-Original-Method", "GET"),
        ("X-Real-IP", "192.0.2.7"),
    ];
    let headers = [&gateway, credential].concat();
    send(server, "GET /check/nginx", &headers, b"").expect("an answer")
}

/// Signs in with a PAT.
///
/// # Errors
/// Where there is no whole answer.
pub fn login(server: SocketAddr, secret: &str) -> std::io::Result<Answer> {
    let body = format!("{{\"token\":\"{secret}\"}}");
    let headers = [("Content-Type", "application/json")];
    send(server, "POST /api/v1/pat/login", &headers, body.as_bytes())
}
