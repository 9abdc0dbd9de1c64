//! Unbound behind a certificate, and what stands before it: who asks it over TLS, and how connections end.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, date_time_ymd};

use super::authority::Authority;
use super::daemon::Daemon;
use super::engine::lock;
use super::unbound::{Unbound, fixed_port};
use super::{SOON, eventually};

/// The name that daemons know it by.
pub(crate) const NAME: &str = "dns.example";

/// Makes a CA, `ca.pem`, and a certificate for `name` until `year`, `cert.pem` and `key.pem`, in `directory`.
pub(crate) fn make_certificates(directory: &Path, name: &str, year: i32) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a certificate");
    params.not_after = date_time_ymd(year, 1, 1);
    Authority::new().sign(&params, directory);
}

/// Between the daemon and its upstream: it counts connections, breaks them off or has them fall silent, and hears whether
/// anything comes in the clear.
pub(crate) struct Middle {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<Arc<Connection>>>>,
    datagrams: UdpSocket,
}

/// One connection.
struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// What comes is thrown away.
    is_silent: AtomicBool,
    /// One side has ended it.
    is_over: AtomicBool,
}

impl Middle {
    fn before(upstream: SocketAddr) -> Self {
        let address = fixed_port();
        let listener = TcpListener::bind(address).expect("a port that was free");
        let datagrams = UdpSocket::bind(address).expect("a port that was free");
        datagrams.set_nonblocking(true).expect("it can be");
        let (connections, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, kept) = (Arc::clone(&connections), Arc::clone(&open));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                count.fetch_add(1, Ordering::SeqCst);
                // Nobody there: the client's connection ends.
                let Ok(server) = TcpStream::connect(upstream) else {
                    continue;
                };
                let connection = Arc::new(Connection {
                    client,
                    server,
                    is_silent: AtomicBool::new(false),
                    is_over: AtomicBool::new(false),
                });
                lock(&kept).push(Arc::clone(&connection));
                let back = Arc::clone(&connection);
                std::thread::spawn(move || back.pass(&back.server, &back.client));
                std::thread::spawn(move || {
                    connection.pass(&connection.client, &connection.server);
                });
            }
        });
        Self {
            address,
            connections,
            open,
            datagrams,
        }
    }

    /// How many there have been.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many of them are over.
    pub(crate) fn ended(&self) -> usize {
        let open = lock(&self.open);
        let over = open
            .iter()
            .filter(|connection| connection.is_over.load(Ordering::SeqCst));
        over.count()
    }

    /// Ends all connections without a word.
    pub(crate) fn break_off(&self) {
        for connection in lock(&self.open).drain(..) {
            let _ = connection.client.shutdown(Shutdown::Both);
        }
    }

    /// Has nothing more come through all connections that there are, nor told that it does not.
    pub(crate) fn silence(&self) {
        for connection in &*lock(&self.open) {
            connection.is_silent.store(true, Ordering::SeqCst);
        }
    }

    pub(crate) fn assert_nothing_in_the_clear(&self) {
        assert!(
            self.datagrams.recv(&mut [0; 512]).is_err(),
            "a question in the clear"
        );
    }
}

impl Connection {
    /// Passes on what comes until that ends, and ends the other side then.
    fn pass(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut octets = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut octets) {
            let is_silent = self.is_silent.load(Ordering::SeqCst);
            if !is_silent && to.write_all(octets.get(..length).unwrap_or_default()).is_err() {
                break;
            }
        }
        self.is_over.store(true, Ordering::SeqCst);
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// Unbound behind a certificate for `name` until `year`, and what stands before it.
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) unbound: Unbound,
    pub(crate) middle: Middle,
}

impl World {
    pub(crate) fn start(name: &str, year: i32) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        make_certificates(directory.path(), name, year);
        let address = fixed_port();
        let port = address.port();
        let file = |name: &str| directory.path().join(name).display().to_string();
        let more = format!(
            " tls-port: {port}\n tls-service-key: \"{}\"\n tls-service-pem: \"{}\"\n",
            file("key.pem"),
            file("cert.pem")
        );
        let unbound = Unbound::start(address, &more)?;
        eventually("Unbound", 6 * SOON, || {
            TcpStream::connect(address)
                .map(drop)
                .map_err(|error| error.to_string())
        });
        let middle = Middle::before(address);
        Some(Self {
            directory,
            unbound,
            middle,
        })
    }

    /// A daemon on one core that asks it, and then `others`, with more `arguments`.
    pub(crate) fn daemon(&self, others: &str, arguments: &str) -> Daemon {
        let (server, ca) = (self.middle.address, self.directory.path().join("ca.pem"));
        Daemon::start(&format!(
            "--docker /nonexistent --cores 1 --cache-size 0 --nameserver {server}#{NAME}{others} \
             --nameserver-ca {} {arguments}",
            ca.display()
        ))
    }
}
