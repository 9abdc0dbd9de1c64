//! A proxy before an engine that lets nothing through but reading, and writes down what was asked.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::engine::lock;

/// The proxy, for as long as the value lives.
pub(crate) struct Gate {
    directory: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    /// A proxy before the engine at this unix socket.
    pub(crate) fn before(engine: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("skd.")
            .tempdir_in("/tmp")
            .expect("a directory in /tmp");
        let gate = Self {
            directory,
            asked: Arc::default(),
        };
        let listener = UnixListener::bind(gate.socket()).expect("a socket");
        let engine = PathBuf::from(engine.trim_start_matches("unix://"));
        let asked = Arc::clone(&gate.asked);
        // They end with the process that runs the tests.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (engine, asked) = (engine.clone(), Arc::clone(&asked));
                std::thread::spawn(move || serve(client, &engine, &asked));
            }
        });
        gate
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("gate.sock")
    }

    /// Its endpoint, as `--docker` takes it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// All requests so far, `METHOD PATH` without version and query, and with `ID` for a container's id.
    pub(crate) fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

/// Passes one request on, if it only reads.
fn serve(mut client: UnixStream, engine: &PathBuf, asked: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut octet) {
            Ok(1) => head.extend(octet),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    lock(asked).push(plain(&text));
    if !text.starts_with("GET ") {
        let _ = client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    let Ok(mut engine) = UnixStream::connect(engine) else {
        return;
    };
    // It looks into the first request of a connection alone, so there is to be no other.
    let head = text.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    if engine.write_all(head.as_bytes()).is_err() {
        return;
    }
    let _ = std::io::copy(&mut engine, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}

fn plain(head: &str) -> String {
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let is_version = |part: &&str| part.starts_with("v1.") && part.len() <= 5;
    let is_id = |part: &str| part.len() == 64 && part.bytes().all(|octet| octet.is_ascii_hexdigit());
    let parts = path.split('/').filter(|part| !is_version(part));
    let parts: Vec<_> = parts.map(|part| if is_id(part) { "ID" } else { part }).collect();
    format!("{method} {}", parts.join("/"))
}
