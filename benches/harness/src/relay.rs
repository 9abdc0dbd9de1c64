//! What stands between skydock and an engine, and writes down when it says what.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::SystemTime;

/// The relay. Its threads end with the process.
#[derive(Clone)]
pub(crate) struct Relay {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Inspects that were answered.
    inspects: HashMap<String, Vec<Inspect>>,
    /// When the event of a container's start came by, by id.
    starts: HashMap<String, SystemTime>,
    /// Connections that last.
    open: Vec<UnixStream>,
}

/// An inspect that was answered.
#[derive(Clone, Copy)]
pub(crate) struct Inspect {
    pub(crate) asked: SystemTime,
    pub(crate) answered: SystemTime,
}

impl Relay {
    /// A relay at `socket` before the engine at `engine`.
    ///
    /// # Errors
    ///
    /// The socket cannot be made.
    pub(crate) fn start(socket: &Path, engine: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let relay = Self {
            socket: socket.to_owned(),
            state: Arc::default(),
        };
        let (state, engine) = (Arc::clone(&relay.state), engine.to_owned());
        thread::Builder::new().name("relay".to_owned()).spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (engine, state) = (engine.clone(), Arc::clone(&state));
                // Who breaks off is no concern of ours.
                let _ = thread::Builder::new().spawn(move || pass_on(client, &engine, &state));
            }
        })?;
        Ok(relay)
    }

    /// What `--docker` takes.
    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Leaves, as an engine that is stopped.
    pub(crate) fn leave(&self) -> io::Result<()> {
        fs::rename(&self.socket, self.socket.with_extension("away"))?;
        for open in lock(&self.state).open.drain(..) {
            let _ = open.shutdown(Shutdown::Both);
        }
        Ok(())
    }

    /// Is back where it was.
    pub(crate) fn come_back(&self) -> io::Result<()> {
        fs::rename(self.socket.with_extension("away"), &self.socket)
    }

    /// When the event of this container's start came by.
    pub(crate) fn started(&self, id: &str) -> Option<SystemTime> {
        lock(&self.state).starts.get(id).copied()
    }

    /// All inspects of this container, in order.
    pub(crate) fn inspects(&self, id: &str) -> Vec<Inspect> {
        lock(&self.state).inspects.get(id).cloned().unwrap_or_default()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes on one request and its answer.
fn pass_on(mut client: UnixStream, engine: &Path, state: &Mutex<State>) -> io::Result<()> {
    let mut head = Vec::new();
    let mut octets = vec![0; 1 << 16];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut octets)? {
            0 => return Ok(()),
            length => head.extend_from_slice(&octets[..length]),
        }
    }
    let asked = SystemTime::now();
    let mut upstream = UnixStream::connect(engine)?;
    upstream.write_all(&head)?;
    let target = String::from_utf8_lossy(&head)
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let path = target.split('?').next().unwrap_or_default();
    let follows = path.ends_with("/events");
    if follows {
        lock(state)
            .open
            .extend([client.try_clone()?, upstream.try_clone()?]);
    }
    loop {
        let length = upstream.read(&mut octets)?;
        let now = SystemTime::now();
        if length == 0 {
            break;
        }
        if follows {
            note_starts(&String::from_utf8_lossy(&octets[..length]), now, state);
        }
        // Noted before it is passed on: what follows it may be asked for at once.
        if let Some(id) = path
            .strip_suffix("/json")
            .and_then(|path| path.rsplit('/').next())
        {
            let mut state = lock(state);
            state
                .inspects
                .entry(id.to_owned())
                .or_default()
                .push(Inspect { asked, answered: now });
        }
        client.write_all(&octets[..length])?;
    }
    client.shutdown(Shutdown::Both)
}

fn note_starts(text: &str, now: SystemTime, state: &Mutex<State>) {
    for line in text.lines().filter(|line| line.contains(r#""Action":"start""#)) {
        if let Some(id) = line
            .split(r#""Actor":{"ID":""#)
            .nth(1)
            .and_then(|rest| rest.split('"').next())
        {
            lock(state).starts.insert(id.to_owned(), now);
        }
    }
}
