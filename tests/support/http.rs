//! Requests to the HTTP interface, octet by octet: what a client may get wrong has to be possible.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::SOON;

/// A reply, whole.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// Its status code.
    pub(crate) status: u16,
    /// Its headers, names in lower case, as they came.
    pub(crate) headers: Vec<(String, String)>,
    /// Its body.
    pub(crate) body: String,
}

impl Reply {
    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Its body as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("its body is JSON")
    }
}

/// What stands at a place of `value` (RFC 6901); `null` if nothing does.
pub(crate) fn at<'v>(value: &'v Value, place: &str) -> &'v Value {
    value.pointer(place).unwrap_or(&Value::Null)
}

/// Sends `METHOD /path` with more header lines and a body, on a connection of its own.
pub(crate) fn request(to: SocketAddr, line: &str, headers: &[&str], body: &str) -> Reply {
    try_request(to, line, headers, body).expect("it is answered")
}

/// As [`request`], where the connection may break.
pub(crate) fn try_request(
    to: SocketAddr,
    line: &str,
    headers: &[&str],
    body: &str,
) -> std::io::Result<Reply> {
    let mut head = format!(
        "{line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    if !headers
        .iter()
        .any(|header| header.to_ascii_lowercase().starts_with("host:"))
    {
        head += &format!("Host: {to}\r\n");
    }
    for header in headers {
        head += header;
        head += "\r\n";
    }
    exchange(to, format!("{head}\r\n{body}").as_bytes())
}

/// Sends octets as they are and reads what comes back until the other side hangs up.
pub(crate) fn exchange(to: SocketAddr, octets: &[u8]) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    // Who refuses a body does not read it to its end.
    let _ = stream.write_all(octets);
    let mut reply = Vec::new();
    let read = stream.read_to_end(&mut reply);
    let text = String::from_utf8_lossy(&reply).into_owned();
    match parse(&text) {
        Some(reply) => Ok(reply),
        None => Err(read
            .err()
            .unwrap_or_else(|| std::io::Error::other(format!("no reply: {text:?}")))),
    }
}

/// A watcher: the lines that it is sent.
pub(crate) fn watcher(to: SocketAddr, last: Option<&str>) -> impl Iterator<Item = String> {
    let mut stream = TcpStream::connect(to).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    let last = last
        .map(|last| format!("Last-Event-ID: {last}\r\n"))
        .unwrap_or_default();
    write!(stream, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{last}\r\n").expect("it is sent");
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    // Until its head is there, nothing is told to it.
    lines.find(|line| line.starts_with("retry:")).expect("a head");
    lines
}

/// It is a problem with this status that names `field`.
pub(crate) fn check_problem(reply: &Reply, status: u16, field: Option<&str>) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json"),
        "{reply:?}"
    );
    let problem = reply.json();
    assert_eq!(at(&problem, "/status"), status, "{problem}");
    assert!(
        !at(&problem, "/detail").as_str().unwrap_or_default().is_empty(),
        "{problem}"
    );
    assert_eq!(at(&problem, "/field").as_str(), field, "{problem}");
}

fn parse(text: &str) -> Option<Reply> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let is_chunked = headers
        .iter()
        .any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if is_chunked {
        unchunked(body)
    } else {
        body.to_owned()
    };
    Some(Reply {
        status,
        headers,
        body,
    })
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        whole += rest.get(..size).unwrap_or(rest);
        body = rest.get(size + 2..).unwrap_or("");
    }
    whole
}
