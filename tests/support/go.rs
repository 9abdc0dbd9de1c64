//! Programs written in Go that ask over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::SOON;

/// A program written in Go at work: its requests, octet for octet, over the one connection that Go's client kept open.
pub(crate) struct Go {
    stream: BufReader<TcpStream>,
    /// What it calls itself, and whom it asks.
    agent: &'static str,
    host: String,
}

impl Go {
    /// The predecessor, built with Go 1.2.
    pub(crate) fn skydock(http: SocketAddr) -> Self {
        Self::of(http, "Go 1.1 package http", "172.17.0.2:8080".to_owned())
    }

    /// SkyDNS's own client, as a Go of today builds it.
    pub(crate) fn skydnsctl(http: SocketAddr) -> Self {
        Self::of(http, "Go-http-client/1.1", http.to_string())
    }

    fn of(http: SocketAddr, agent: &'static str, host: String) -> Self {
        let stream = TcpStream::connect(http).expect("a connection");
        stream.set_read_timeout(Some(SOON)).expect("a socket");
        Self {
            stream: BufReader::new(stream),
            agent,
            host,
        }
    }

    /// Sends a request as Go writes it; gives the status line and the body of the reply.
    pub(crate) fn send(&mut self, line: &str, body: &str) -> (String, String) {
        let length = match body {
            "" => String::new(),
            body => format!("Content-Length: {}\r\n", body.len()),
        };
        let Self { agent, host, .. } = self;
        let request = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n{length}Authorization: s3cret\r\nAccept-Encoding: gzip\r\n\r\n{body}"
        );
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .expect("it is sent");
        let line = |reader: &mut BufReader<TcpStream>| {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            line.trim_end().to_owned()
        };
        let status = line(&mut self.stream);
        let mut octets = 0;
        loop {
            let header = line(&mut self.stream).to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            assert!(
                !header.starts_with("transfer-encoding"),
                "Go knew how long each body was: {header}"
            );
            if let Some(length) = header.strip_prefix("content-length: ") {
                octets = length.parse().expect("a number");
            }
        }
        let mut body = vec![0; octets];
        self.stream.read_exact(&mut body).expect("a body");
        (status, String::from_utf8(body).expect("text"))
    }
}
