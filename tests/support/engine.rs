//! A container engine for tests: one that is there already, or a private one.

use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};

use super::skip;

/// A running engine with our images in it.
pub(crate) struct Engine {
    host: String,
    gateway: Ipv4Addr,
    directory: tempfile::TempDir,
    /// `None`: it was here before us, and is none of ours to stop.
    private: Option<Private>,
    /// Images that not every file of tests needs, made once, for who comes first.
    glibc: Once,
    skydock: Once,
}

/// The engine that all tests of this process share while at least one of them runs.
///
/// `SKYDOCK_TEST_DOCKER_HOST` names one to use instead of a private one. `None` where there can be none: the test
/// is skipped, and the reason was printed.
pub(crate) fn shared() -> Option<Arc<Engine>> {
    static SHARED: Mutex<Weak<Engine>> = Mutex::new(Weak::new());
    let mut shared = lock(&SHARED);
    if let Some(engine) = shared.upgrade() {
        return Some(engine);
    }
    let engine = Arc::new(match std::env::var("SKYDOCK_TEST_DOCKER_HOST") {
        Ok(host) if !host.is_empty() => Engine::existing(host),
        _ => private(&[])?,
    });
    *shared = Arc::downgrade(&engine);
    Some(engine)
}

/// An engine of the caller's own, which it may stop and kill, started with these arguments of dockerd.
///
/// `None` where there can be none: the test is skipped, and the reason was printed.
pub(crate) fn private(arguments: &[&str]) -> Option<Engine> {
    if !nix::unistd::geteuid().is_root() {
        skip("a private engine needs root");
        return None;
    }
    for (program, package) in [
        ("dockerd", "docker.io"),
        ("containerd", "docker.io"),
        ("docker", "docker.io"),
        ("busybox", "busybox-static"),
        ("ip", "iproute2"),
    ] {
        if !is_installed(program) {
            skip(&format!("{program} is missing (package {package})"));
            return None;
        }
    }
    Some(Engine::private(arguments))
}

impl Engine {
    /// One that is there already, with our images put into it.
    pub(crate) fn existing(host: String) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("skd.")
            .tempdir_in("/tmp")
            .expect("a directory in /tmp");
        let mut engine = Self {
            host,
            gateway: Ipv4Addr::UNSPECIFIED,
            directory,
            private: None,
            glibc: Once::new(),
            skydock: Once::new(),
        };
        let gateway = "{{(index .IPAM.Config 0).Gateway}}";
        let gateway = engine.docker(&["network", "inspect", "bridge", "--format", gateway]);
        engine.gateway = gateway.parse().expect("the default bridge has an IPv4 gateway");
        engine.make_images();
        engine
    }

    fn private(arguments: &[&str]) -> Self {
        // A Unix socket's path has at most 107 octets, so not below some deep TMPDIR.
        let directory = tempfile::Builder::new()
            .prefix("skd.")
            .tempdir_in("/tmp")
            .expect("a directory in /tmp");
        let mut private = Private::start(directory.path());
        let gateway = private.gateway;
        private.order(&format!("start {}", arguments.join(" ")));
        let host = format!("unix://{}/d.sock", directory.path().display());
        let engine = Self {
            host,
            gateway,
            directory,
            private: Some(private),
            glibc: Once::new(),
            skydock: Once::new(),
        };
        engine.make_images();
        engine
    }

    /// Its endpoint, as `DOCKER_HOST` and `--docker` take it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is ours alone, on this host.
    pub(crate) fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// The address that containers reach this host by.
    pub(crate) fn gateway(&self) -> Ipv4Addr {
        self.gateway
    }

    /// Makes a network with more arguments of `docker network create`, a bridge where they name no other driver; its error
    /// is what docker says.
    pub(crate) fn make_network(&self, name: &str, arguments: &[&str]) -> Result<(), String> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let mut words = vec!["network", "create", name];
        words.extend_from_slice(arguments);
        let option;
        if let Some(private) = &self.private
            && !arguments.contains(&"--driver")
        {
            // A name by which engine.sh finds the interface when nobody removes the network.
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            option = format!("com.docker.network.bridge.name={}.{number}", private.bridge);
            words.extend(["--opt", &option]);
        }
        match self.try_docker(&words) {
            (true, _) => Ok(()),
            (false, reason) => Err(reason),
        }
    }

    /// Stops dockerd as a service manager does, and with it the containers, unless it was started with `--live-restore`.
    pub(crate) fn stop(&mut self) {
        self.own().order("stop");
    }

    /// Kills dockerd with SIGKILL. Containers keep running.
    pub(crate) fn kill(&mut self) {
        self.own().order("kill");
    }

    /// Stops dockerd in its tracks: its connections stay open, and it says nothing on them.
    pub(crate) fn freeze(&mut self) {
        self.own().order("freeze");
    }

    /// Lets a frozen dockerd go on.
    pub(crate) fn thaw(&mut self) {
        self.own().order("thaw");
    }

    /// Starts dockerd again, on the same data, and waits until it answers.
    pub(crate) fn start(&mut self, arguments: &[&str]) {
        self.own().order(&format!("start {}", arguments.join(" ")));
    }

    fn own(&mut self) -> &mut Private {
        self.private
            .as_mut()
            .expect("only a private engine is stopped and started")
    }

    /// Runs the docker client and gives what it printed, without the last line's end.
    ///
    /// # Panics
    ///
    /// When it fails, with what it said.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        let (done, output) = self.try_docker(arguments);
        assert!(done, "docker {}: {output}", arguments.join(" "));
        output
    }

    /// Runs the docker client: whether it was content, and what it printed.
    pub(crate) fn try_docker(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.client(arguments).output().expect("the docker client starts");
        let text = if output.status.success() {
            output.stdout
        } else {
            [output.stdout, output.stderr].concat()
        };
        (
            output.status.success(),
            String::from_utf8_lossy(&text).trim_end().to_owned(),
        )
    }

    /// Runs the docker client and gives both of its streams.
    pub(crate) fn docker_streams(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments).output().expect("the docker client starts");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .env("DOCKER_HOST", &self.host)
            .env("DOCKER_CONFIG", self.directory.path().join("docker"));
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Gives [`BUSYBOX`] another name, for tests that look at what becomes of an image's name.
    pub(crate) fn tag(&self, name: &str) {
        self.docker(&["tag", BUSYBOX, name]);
    }

    fn make_images(&self) {
        let root = self.directory.path().join("busybox");
        install("busybox", &root.join("bin"));
        for applet in ["sh", "sleep", "nslookup", "ping", "cat"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("a link to busybox");
        }
        self.import(&root, BUSYBOX, &[SLEEP, "EXPOSE 6379"]);
    }

    /// Makes [`GLIBC`]: `getent` with this host's C library, whose resolver is the one most programs use.
    pub(crate) fn make_glibc_image(&self) {
        self.glibc.call_once(|| {
            let root = self.directory.path().join("glibc");
            install_with_libraries(&which("getent"), &root);
            std::fs::create_dir_all(root.join("etc")).expect("/etc");
            std::fs::write(root.join("etc/nsswitch.conf"), "hosts: files dns\n").expect("nsswitch.conf");
            install("busybox", &root.join("bin"));
            std::os::unix::fs::symlink("busybox", root.join("bin/sleep")).expect("a link to busybox");
            self.import(&root, GLIBC, &[SLEEP]);
        });
    }

    /// Makes [`SKYDOCK`]: the binary under test, with this host's C library.
    pub(crate) fn make_skydock_image(&self) {
        self.skydock.call_once(|| {
            let root = self.directory.path().join("skydock");
            install_with_libraries(Path::new(env!("CARGO_BIN_EXE_skydock")), &root);
            self.import(&root, SKYDOCK, &[r#"ENTRYPOINT ["/bin/skydock"]"#]);
        });
    }

    fn import(&self, root: &Path, name: &str, changes: &[&str]) {
        let archive = root.with_extension("tar");
        let packed = Command::new("tar")
            .arg("-C")
            .arg(root)
            .arg("-cf")
            .arg(&archive)
            .arg(".")
            .status();
        assert!(
            packed.expect("tar starts").success(),
            "tar packs {}",
            root.display()
        );
        let mut arguments = vec!["import"];
        arguments.extend(changes.iter().flat_map(|change| ["--change", *change]));
        let archive = archive.to_str().expect("our own path is text");
        arguments.extend([archive, name]);
        self.docker(&arguments);
    }
}

/// What a container does that is only there to be named.
const SLEEP: &str = r#"CMD ["/bin/sleep","3600"]"#;
/// An image of busybox alone that exposes TCP port 6379.
pub(crate) const BUSYBOX: &str = "crosbymichael/redis";
/// An image with glibc's `getent`; see [`Engine::make_glibc_image`].
pub(crate) const GLIBC: &str = "skydock-test/glibc";

/// An image of the binary under test; see [`Engine::make_skydock_image`].
pub(crate) const SKYDOCK: &str = "skydock-test/skydock";

/// `engine.sh` at work.
struct Private {
    script: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    bridge: String,
    gateway: Ipv4Addr,
}

impl Private {
    fn start(directory: &Path) -> Self {
        let mut script = Command::new("unshare");
        script.args([
            "--pid",
            "--mount",
            "--mount-proc",
            "--fork",
            "--kill-child",
            "bash",
        ]);
        script.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/engine.sh"));
        script.arg(directory).arg(std::process::id().to_string());
        // A group of its own, or a terminal's Ctrl-C would end its children under it.
        let mut script = script
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut answers = BufReader::new(script.stdout.take().expect("it is piped"));
        let first = line(&mut answers);
        let (bridge, gateway) = match first.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["ready", bridge, gateway] => (
                (*bridge).to_owned(),
                gateway.parse().expect("engine.sh names an address"),
            ),
            _ => {
                let _ = script.wait();
                assert!(first.is_empty(), "a private engine cannot be set up: {first}");
                unreachable!("engine.sh ended without a word");
            }
        };
        Self {
            orders: script.stdin.take(),
            script,
            answers,
            bridge,
            gateway,
        }
    }

    fn order(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("open until it is dropped");
        writeln!(orders, "{order}").expect("engine.sh listens");
        let answer = line(&mut self.answers);
        assert_eq!(answer, "ok", "the engine did not {order}");
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // End of input is the order to clean up; when this returns nothing is left of it.
        drop(self.orders.take());
        let _ = self.script.wait();
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("engine.sh writes text");
    line.trim_end().to_owned()
}

/// Whether `program` is on the path.
pub(crate) fn is_installed(program: &str) -> bool {
    find(program).is_some()
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

fn which(program: &str) -> PathBuf {
    find(program).unwrap_or_else(|| unreachable!("{program} was looked for before"))
}

fn install(program: &str, into: &Path) {
    std::fs::create_dir_all(into).expect("a directory of an image");
    std::fs::copy(which(program), into.join(program)).expect("a copy of a program");
}

/// Puts `program` into the `bin` of an image, and its libraries where it looks for them.
fn install_with_libraries(program: &Path, root: &Path) {
    std::fs::create_dir_all(root.join("bin")).expect("a directory of an image");
    let name = program.file_name().expect("a program has a name");
    std::fs::copy(program, root.join("bin").join(name)).expect("a copy of a program");
    let libraries = Command::new("ldd").arg(program).output().expect("ldd starts");
    let libraries = String::from_utf8_lossy(&libraries.stdout).into_owned();
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)`, and the loader without an arrow.
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        let target = root.join(library.trim_start_matches('/'));
        std::fs::create_dir_all(target.parent().expect("a file in a directory")).expect("its directory");
        std::fs::copy(library, target).expect("a copy of a library");
    }
}

/// A lock that a panicked test left is as good as any: what it guards is replaced or read whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
