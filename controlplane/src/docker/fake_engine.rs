//! An engine for tests: HTTP over a unix socket, whose answers and faults a test scripts.
//!
//! It serves what [`FakeEngine::run`] and its like have made true, in the shapes of API 1.41. A test can hold an answer
//! back, have a request fail, cut the event stream at any octet, and read which requests were made.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

/// How the engine answers one request.
#[derive(Clone)]
pub(super) enum Reply {
    /// This status, and a message as engines give it.
    Status(u16),
    /// Not at all; the connection stays open.
    Hang,
    /// With what is true, this long after the request.
    After(Duration),
    /// With what is true when the request comes, once the test opens the gate.
    Gate(Arc<Notify>),
    /// These octets instead of HTTP.
    Raw(&'static [u8]),
}

/// What goes down an event stream.
enum Feed {
    Octets(Vec<u8>),
    /// The stream's proper end, as an engine sends it that shuts down.
    End,
    /// The connection breaks.
    Cut,
}

pub(super) struct FakeEngine {
    dir: TempDir,
    world: Arc<Mutex<World>>,
    server: Option<JoinSet<()>>,
}

#[derive(Default)]
struct World {
    /// Inspect answers by id.
    containers: BTreeMap<String, Value>,
    /// What the list of networks shows.
    networks: Vec<Value>,
    /// `METHOD PATH`, in order.
    requests: Vec<String>,
    /// How many connections were opened.
    connections: usize,
    /// Told when connections without a request shall end.
    idle: Arc<Notify>,
    subscribers: Vec<mpsc::UnboundedSender<Feed>>,
    /// How the next requests whose path ends so are answered; then with the truth.
    scripts: HashMap<String, VecDeque<Reply>>,
    /// Sent to the next subscribers instead of a live stream, which is then cut.
    short_streams: VecDeque<Vec<u8>>,
}

impl FakeEngine {
    /// An engine that is not started yet.
    pub(super) fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            world: Arc::default(),
            server: None,
        }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// Starts to listen.
    pub(super) fn start(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        let (listener, world) = (UnixListener::bind(self.socket()).unwrap(), self.world.clone());
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                world.lock().unwrap().connections += 1;
                connections.spawn(serve(stream, world.clone()));
            }
        });
        self.server = Some(server);
    }

    /// Breaks every connection and refuses new ones; the socket's file stays, as after a crash.
    pub(super) async fn crash(&mut self) {
        self.server.take().unwrap().shutdown().await;
        self.world().subscribers.clear();
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Makes it true that a container of this name and address runs; its id is the name, made long.
    pub(super) fn run(&self, name: &str, address: &str) {
        let answer = json!({
            "Id": id(name),
            "Name": format!("/{name}"),
            "Image": "sha256:3aa1c901cb4f",
            "State": {"Status": "running", "Running": true, "Paused": false, "Restarting": false},
            "Config": {"Image": "registry:5000/team/web:1", "ExposedPorts": {"80/tcp": {}}},
            "HostConfig": {"NetworkMode": "default"},
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": address, "GlobalIPv6Address": ""}}},
        });
        self.world().containers.insert(id(name), answer);
    }

    /// Makes it true that there is a network of these subnets.
    pub(super) fn network(&self, name: &str, subnets: &[&str]) {
        let config: Vec<Value> = subnets.iter().map(|subnet| json!({"Subnet": subnet})).collect();
        let network = json!({"Name": name, "Id": name, "Driver": "bridge", "IPAM": {"Config": config}});
        self.world().networks.push(network);
    }

    /// Makes a network other than it was.
    pub(super) fn change_network(&self, name: &str, options: &Value) {
        let mut world = self.world();
        let network = world.networks.iter_mut().find(|it| it["Name"] == name).unwrap();
        for (key, value) in options.as_object().unwrap() {
            network[key] = value.clone();
        }
    }

    /// Makes it true that the container's health check says this.
    pub(super) fn health(&self, name: &str, status: &str) {
        let mut world = self.world();
        world.containers.get_mut(&id(name)).unwrap()["State"]["Health"] = json!({"Status": status});
    }

    /// Makes the container's inspect and line of the list other than they were.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        change(self.world().containers.get_mut(&id(name)).unwrap());
    }

    /// Has the list say less of the container, as Podman's does, so that only an inspect tells what it is.
    pub(super) fn list_little_of(&self, name: &str) {
        self.change(name, |it| it["HostConfig"] = json!({}));
    }

    /// Makes it true that the container is paused.
    pub(super) fn pause(&self, name: &str) {
        let mut world = self.world();
        let container = world.containers.get_mut(&id(name)).unwrap();
        container["State"]["Paused"] = json!(true);
        container["State"]["Status"] = json!("paused");
    }

    /// Makes the container's inspect this many octets longer.
    pub(super) fn bloat(&self, name: &str, octets: usize) {
        let mut world = self.world();
        world.containers.get_mut(&id(name)).unwrap()["Path"] = json!("x".repeat(octets));
    }

    /// Makes it true that there is no such container.
    pub(super) fn end(&self, name: &str) {
        self.world().containers.remove(&id(name));
    }

    /// Sends an event about a container to all subscribers.
    pub(super) fn event(&self, action: &str, name: &str) {
        self.feed(|| Feed::Octets(event(action, name).into_bytes()));
    }

    /// Sends raw octets to all subscribers.
    pub(super) fn octets(&self, octets: &[u8]) {
        self.feed(|| Feed::Octets(octets.to_vec()));
    }

    pub(super) fn end_events(&self) {
        self.feed(|| Feed::End);
    }

    pub(super) fn cut_events(&self) {
        self.feed(|| Feed::Cut);
    }

    fn feed(&self, feed: impl Fn() -> Feed) {
        self.world()
            .subscribers
            .retain(|subscriber| subscriber.send(feed()).is_ok());
    }

    /// The next event stream is these octets, then it is cut.
    pub(super) fn short_stream(&self, octets: &[u8]) {
        self.world().short_streams.push_back(octets.to_vec());
    }

    /// The next request whose path, the query left out, ends in `path` is answered so.
    pub(super) fn script(&self, path: &str, reply: Reply) {
        self.world()
            .scripts
            .entry(path.to_owned())
            .or_default()
            .push_back(reply);
    }

    /// All requests up to now, as `METHOD PATH`.
    pub(super) fn requests(&self) -> Vec<String> {
        self.world().requests.clone()
    }

    /// Closes all connections that have no request, as an engine or a proxy does that waited long enough for one.
    pub(super) async fn close_idle(&self) {
        let idle = self.world().idle.clone();
        idle.notify_waiters();
        tokio::task::yield_now().await;
    }

    /// Connections up to now.
    pub(super) fn connections(&self) -> usize {
        self.world().connections
    }

    pub(super) fn count(&self, path: &str) -> usize {
        self.world()
            .requests
            .iter()
            .filter(|request| without_query(request).ends_with(path))
            .count()
    }

    /// Waits until that many requests whose path ends in `path` have come.
    pub(super) async fn saw(&self, path: &str, count: usize) {
        for _ in 0..5000 {
            if self.count(path) >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!(
            "{count} of {path} were expected; these came: {:#?}",
            self.requests()
        );
    }

    /// Waits until an event stream is open.
    pub(super) async fn subscribed(&self) {
        for _ in 0..5000 {
            if self
                .world()
                .subscribers
                .iter()
                .any(|subscriber| !subscriber.is_closed())
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!(
            "nobody subscribed to events; these requests came: {:#?}",
            self.requests()
        );
    }
}

/// The full id of the container of this name: 64 octets.
pub(super) fn id(name: &str) -> String {
    format!("{name:0<64}")
}

/// The path of a container's inspect.
pub(super) fn inspect_path(name: &str) -> String {
    format!("/containers/{}/json", id(name))
}

/// An event of this moment as engines of API 1.41 write it, newline included.
pub(super) fn event(action: &str, name: &str) -> String {
    event_of(
        "container",
        action,
        &id(name),
        &json!({"image": "web:1", "name": name}),
    )
}

/// The event of a signal that a container was sent.
pub(super) fn signalled(signal: u8, name: &str) -> String {
    let attributes = json!({"image": "web:1", "name": name, "signal": signal.to_string()});
    event_of("container", "kill", &id(name), &attributes)
}

/// The event of a container that joins or leaves a network.
pub(super) fn on_network(action: &str, network: &str, name: &str) -> String {
    let attributes = json!({"container": id(name), "name": network, "type": "bridge"});
    event_of("network", action, &id(network), &attributes)
}

fn event_of(kind: &str, action: &str, id: &str, attributes: &Value) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let event = json!({
        "status": action, "id": id, "from": "web:1", "Type": kind, "Action": action,
        "Actor": {"ID": id, "Attributes": attributes},
        "scope": "local", "time": now.as_secs(), "timeNano": i64::try_from(now.as_nanos()).unwrap(),
    });
    format!("{event}\n")
}

fn without_query(request: &str) -> &str {
    request.split('?').next().unwrap()
}

/// Answers one request after another.
async fn serve(mut stream: UnixStream, world: Arc<Mutex<World>>) {
    while let Some(next) = serve_one(stream, &world).await {
        stream = next;
    }
}

/// Answers one request; the stream, if it can bring another.
async fn serve_one(mut stream: UnixStream, world: &Mutex<World>) -> Option<UnixStream> {
    let mut head = Vec::new();
    let idle = world.lock().unwrap().idle.clone();
    while !head.ends_with(b"\r\n\r\n") {
        tokio::select! {
            octet = stream.read_u8() => head.push(octet.ok()?),
            () = idle.notified(), if head.is_empty() => return None,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let request = head.split(" HTTP/").next().unwrap().to_owned();
    let script = {
        let mut world = world.lock().unwrap();
        world.requests.push(request.clone());
        let path = without_query(&request);
        world
            .scripts
            .iter_mut()
            .find(|(end, _)| path.ends_with(*end))
            .and_then(|(_, replies)| replies.pop_front())
    };
    if script.is_none() && without_query(&request).ends_with("/events") {
        serve_events(stream, world).await;
        return None;
    }
    let (status, body) = answer(&request, world);
    let octets = match script {
        None => http(status, &body),
        Some(Reply::Status(status)) => http(status, &json!({"message": "as scripted"}).to_string()),
        Some(Reply::After(wait)) => {
            tokio::time::sleep(wait).await;
            http(status, &body)
        }
        Some(Reply::Gate(gate)) => {
            gate.notified().await;
            http(status, &body)
        }
        Some(Reply::Hang) => std::future::pending().await,
        Some(Reply::Raw(octets)) => {
            let _ = stream.write_all(octets).await;
            return None;
        }
    };
    stream.write_all(&octets).await.ok().map(|()| stream)
}

fn http(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn answer(request: &str, world: &Mutex<World>) -> (u16, String) {
    let world = world.lock().unwrap();
    let path = without_query(request);
    let not_found = (404, json!({"message": "page not found"}).to_string());
    if path.ends_with("/version") {
        return (
            200,
            json!({"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}).to_string(),
        );
    }
    if path.ends_with("/networks") {
        return (200, Value::from(world.networks.clone()).to_string());
    }
    if path.ends_with("/containers/json") {
        let lines: Vec<Value> = world.containers.values().map(summary).collect();
        return (200, Value::from(lines).to_string());
    }
    let id = path
        .strip_suffix("/json")
        .and_then(|path| path.split("/containers/").nth(1));
    id.and_then(|id| world.containers.get(id))
        .map_or(not_found, |container| (200, container.to_string()))
}

/// The line of the list for an inspect's answer.
fn summary(inspect: &Value) -> Value {
    let status = match inspect["State"]["Health"]["Status"].as_str() {
        Some("starting") => "Up 2 seconds (health: starting)".to_owned(),
        Some(health) => format!("Up 2 seconds ({health})"),
        None => "Up 2 seconds".to_owned(),
    };
    let ports = inspect["Config"]["ExposedPorts"]
        .as_object()
        .into_iter()
        .flatten();
    let port = |key: &String| {
        let (number, protocol) = key.split_once('/').unwrap();
        json!({"PrivatePort": number.parse::<u16>().unwrap(), "Type": protocol})
    };
    let ports: Vec<_> = ports.map(|(key, _)| port(key)).collect();
    json!({
        "Status": status,
        "Id": inspect["Id"],
        "Names": [inspect["Name"]],
        "Image": inspect["Config"]["Image"],
        "ImageID": inspect["Image"],
        "Labels": inspect["Config"]["Labels"],
        "Ports": ports,
        "State": inspect["State"]["Status"],
        "HostConfig": inspect["HostConfig"],
        "NetworkSettings": {"Networks": inspect["NetworkSettings"]["Networks"]},
    })
}

async fn serve_events(mut stream: UnixStream, world: &Mutex<World>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    {
        let mut world = world.lock().unwrap();
        if let Some(octets) = world.short_streams.pop_front() {
            sender.send(Feed::Octets(octets)).unwrap();
            sender.send(Feed::Cut).unwrap();
        } else {
            world.subscribers.push(sender);
        }
    }
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    if stream.write_all(head).await.is_err() {
        return;
    }
    while let Some(feed) = receiver.recv().await {
        let octets = match feed {
            Feed::Octets(octets) if octets.is_empty() => continue,
            Feed::Octets(octets) => [format!("{:x}\r\n", octets.len()).as_bytes(), &octets, b"\r\n"].concat(),
            Feed::End => b"0\r\n\r\n".to_vec(),
            Feed::Cut => return,
        };
        if stream.write_all(&octets).await.is_err() {
            return;
        }
    }
}
