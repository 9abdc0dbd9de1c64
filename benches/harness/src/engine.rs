//! A container engine that is not there: it tells of the containers of a [`World`], and of changes to them.
//!
//! So the whole of skydock is measured, as it is shipped, with as many containers as no machine could run.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::SystemTime;

use crate::world::{Container, World};

const IMAGE_ID: &str = "sha256:7f15c10b5e9eeaefb33976564318392ab39d7e7470715abe717463f8432ea97a";
const NETWORK_ID: &str = "b67e7ca9a7044e1135b91efa14bc5ebbbb0a6d3fff0d1d1326919c7df80a5891";

/// The engine. Its threads end with the process.
#[derive(Clone, Debug)]
pub struct Engine {
    socket: PathBuf,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    world: World,
    /// Containers that do not run.
    changes: Mutex<Changes>,
}

#[derive(Debug, Default)]
struct Changes {
    /// How often each container has been replaced; each time it gets another address.
    replaced: HashMap<u32, u8>,
    /// Who follows the events.
    followers: Vec<UnixStream>,
}

impl Engine {
    /// Starts an engine that listens on `socket`, with all containers of `world` running.
    ///
    /// # Errors
    ///
    /// The socket cannot be made.
    pub fn start(world: World, socket: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let state = Arc::new(State {
            world,
            changes: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::Builder::new().name("engine".to_owned()).spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                // A client that breaks off is no concern of ours.
                let _ = thread::Builder::new().spawn(move || serve(stream, &state));
            }
        })?;
        Ok(Self {
            socket: socket.to_owned(),
            state,
        })
    }

    /// What `--docker` takes.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Has the container of this number replaced by one with another address, says so to all that follow, and gives the
    /// address. `None`: there is no such container.
    pub fn replace(&self, number: u32) -> Option<Ipv4Addr> {
        let it = self.state.world.container(number)?;
        let address = self.replace_unsaid(number)?;
        self.tell(&(event("die", &it) + &event("start", &it)));
        Some(address)
    }

    /// The same, and says nothing.
    pub fn replace_unsaid(&self, number: u32) -> Option<Ipv4Addr> {
        let it = self.state.world.container(number)?;
        let mut changes = self.state.changes();
        let times = changes.replaced.entry(number).or_default();
        *times = times.wrapping_add(1);
        Some(address(&it, *times))
    }

    /// Sends these events, a line each, to all that follow.
    pub fn tell(&self, events: &str) {
        let chunk = format!("{:x}\r\n{events}\r\n", events.len());
        self.state
            .changes()
            .followers
            .retain_mut(|follower| follower.write_all(chunk.as_bytes()).is_ok());
    }

    /// Goes away as an engine does that is stopped: nobody finds its socket, and who follows hears no more.
    ///
    /// # Errors
    ///
    /// The socket cannot be moved.
    pub fn leave(&self) -> io::Result<()> {
        fs::rename(&self.socket, self.socket.with_extension("away"))?;
        self.state.changes().followers.clear();
        Ok(())
    }

    /// Is back where it was.
    ///
    /// # Errors
    ///
    /// The socket cannot be moved.
    pub fn come_back(&self) -> io::Result<()> {
        fs::rename(self.socket.with_extension("away"), &self.socket)
    }
}

impl State {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers one request after another.
fn serve(mut stream: UnixStream, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        let target = request.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        if path.ends_with("/events") {
            stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
            )?;
            state.changes().followers.push(stream);
            return Ok(());
        }
        let (status, body) = match answer(path, state) {
            Some(body) => ("200 OK", body),
            None => (
                "404 Not Found",
                r#"{"message": "there is no such thing"}"#.to_owned(),
            ),
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )?;
        stream.write_all(body.as_bytes())?;
    }
}

/// What there is at `path`, in the shapes of API 1.41.
fn answer(path: &str, state: &State) -> Option<String> {
    if path.ends_with("/version") {
        return Some(r#"{"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}"#.to_owned());
    }
    if path.ends_with("/networks") {
        // Without subnets, so that answers do not depend on where a client is.
        return Some(
            r#"[{"Name":"bridge","Driver":"bridge","Internal":false,"IPAM":{"Config":[]}}]"#.to_owned(),
        );
    }
    if path.ends_with("/containers/json") {
        let mut list = String::from("[");
        let replaced = state.changes().replaced.clone();
        for it in state.world.containers() {
            if list.len() > 1 {
                list.push(',');
            }
            let replaced = replaced.get(&it.number).copied().unwrap_or(0);
            list += &summary(&it, replaced);
        }
        return Some(list + "]");
    }
    let id = path.strip_suffix("/json")?.rsplit('/').next()?;
    let it = state
        .world
        .container(u32::from_str_radix(id.get(..10)?, 16).ok()?)?;
    let replaced = state.changes().replaced.get(&it.number).copied().unwrap_or(0);
    Some(inspect(&it, replaced))
}

/// As long as Docker's own lines are, without labels and mounts.
fn summary(it: &Container, replaced: u8) -> String {
    let ports = it
        .port
        .map(|port| format!(r#"{{"PrivatePort":{port},"Type":"tcp"}}"#))
        .unwrap_or_default();
    format!(
        r#"{{"Id":"{}","Names":["/{}"],"Image":"{}:1","ImageID":"{IMAGE_ID}","Command":"/bin/sleep 3600","Created":1795423796,"Ports":[{ports}],"Labels":{{}},"State":"running","Status":"Up 2 minutes (healthy)","HostConfig":{{"NetworkMode":"default"}},"NetworkSettings":{{"Networks":{}}},"Mounts":[]}}"#,
        it.id(),
        it.instance,
        it.image,
        networks(it, replaced)
    )
}

fn inspect(it: &Container, replaced: u8) -> String {
    let ports = it
        .port
        .map(|port| format!(r#""{port}/tcp":{{}}"#))
        .unwrap_or_default();
    format!(
        r#"{{"Id":"{}","Name":"/{}","Image":"{IMAGE_ID}","State":{{"Status":"running","Running":true,"Paused":false,"Restarting":false,"Health":{{"Status":"healthy"}}}},"HostConfig":{{"NetworkMode":"default"}},"Config":{{"Image":"{}:1","ExposedPorts":{{{ports}}}}},"NetworkSettings":{{"Networks":{}}}}}"#,
        it.id(),
        it.instance,
        it.image,
        networks(it, replaced)
    )
}

/// The address of a container that was replaced so often.
fn address(it: &Container, replaced: u8) -> Ipv4Addr {
    let [a, b, c, d] = it.address.octets();
    // How often it was stands above the 2^20 addresses that a world has at most.
    Ipv4Addr::new(a, b.wrapping_add(16 * (replaced % 15)), c, d)
}

fn networks(it: &Container, replaced: u8) -> String {
    let address = address(it, replaced);
    format!(
        r#"{{"bridge":{{"IPAMConfig":null,"Links":null,"Aliases":null,"NetworkID":"{NETWORK_ID}","EndpointID":"{}","Gateway":"172.17.0.1","IPAddress":"{address}","IPPrefixLen":16,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"MacAddress":"02:42:ac:11:00:02","DriverOpts":null}}}}"#,
        it.id()
    )
}

fn event(action: &str, it: &Container) -> String {
    let (id, image, name) = (it.id(), &it.image, &it.instance);
    format!(
        r#"{{"status":"{action}","id":"{id}","from":"{image}:1","Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{"image":"{image}:1","name":"{name}"}}}},"scope":"local",{}}}"#,
        now()
    ) + "\n"
}

/// This moment, as events have it.
pub(crate) fn now() -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    format!(r#""time":{},"timeNano":{}"#, now.as_secs(), now.as_nanos())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::Value;

    use super::*;

    fn get(engine: &Engine, path: &str) -> Value {
        let mut stream = UnixStream::connect(&engine.socket).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: docker\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    #[test]
    fn it_lists_and_inspects_every_container_and_tells_of_changes() {
        let directory = tempfile::tempdir().unwrap();
        let world = World::new(20);
        let engine = Engine::start(world, &directory.path().join("docker.sock")).unwrap();
        let list = get(&engine, "/v1.41/containers/json?all=true");
        assert_eq!(list.as_array().unwrap().len(), 33);
        let address = |value: &Value| value["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].clone();
        let path = format!("/containers/{}/json", world.hot().id());
        assert_eq!(address(&get(&engine, &path)), "10.0.0.1");

        let mut follower = UnixStream::connect(&engine.socket).unwrap();
        write!(follower, "GET /events HTTP/1.1\r\n\r\n").unwrap();
        while engine.state.changes().followers.is_empty() {
            thread::yield_now();
        }
        assert_eq!(engine.replace(0), Some(Ipv4Addr::new(10, 16, 0, 1)));
        assert_eq!(engine.replace(33), None);
        let mut lines = BufReader::new(follower).lines().map_while(Result::ok);
        let event: Value = serde_json::from_str(&lines.find(|line| line.starts_with('{')).unwrap()).unwrap();
        assert_eq!(
            (&event["Action"], &event["id"]),
            (&"die".into(), &world.hot().id().into())
        );
        assert_eq!(address(&get(&engine, &path)), "10.16.0.1");
        assert_eq!(
            get(&engine, "/containers/ffffffffff/json")["message"],
            "there is no such thing"
        );
    }
}
