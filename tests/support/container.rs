//! Containers that go away with the value that stands for them.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::engine::{BUSYBOX, Engine};
use super::{skip, skip_here, unique};

/// A container that was started.
pub(crate) struct Container {
    engine: Arc<Engine>,
    id: String,
    name: String,
}

impl Container {
    /// Runs [`BUSYBOX`] under a name made from `stem` that nobody else has.
    pub(crate) fn run(engine: &Arc<Engine>, stem: &str) -> Self {
        Self::run_image(engine, &unique(stem), BUSYBOX, &[])
    }

    /// Runs `image` as `name`, with more arguments of `docker run`.
    pub(crate) fn run_image(engine: &Arc<Engine>, name: &str, image: &str, arguments: &[&str]) -> Self {
        Self::run_command(engine, name, image, arguments, &[])
    }

    /// Runs `image` as `name`, with more arguments of `docker run`, and arguments for what runs in it.
    pub(crate) fn run_command(
        engine: &Arc<Engine>,
        name: &str,
        image: &str,
        arguments: &[&str],
        command: &[&str],
    ) -> Self {
        // Process 1 ignores SIGTERM unless it says otherwise, and `docker stop` would wait for ten seconds.
        let mut words = vec!["run", "--detach", "--name", name, "--stop-signal", "KILL"];
        words.extend_from_slice(arguments);
        words.push(image);
        words.extend_from_slice(command);
        let id = engine.docker(&words);
        Self {
            engine: Arc::clone(engine),
            id,
            name: name.to_owned(),
        }
    }

    /// Name now.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// First ten hex digits of its id.
    pub(crate) fn uuid(&self) -> &str {
        self.id.get(..10).expect("an id has 64 digits")
    }

    /// Address on the default bridge.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address_on("bridge")
    }

    /// Address on `network`.
    pub(crate) fn address_on(&self, network: &str) -> Ipv4Addr {
        let format = format!("{{{{(index .NetworkSettings.Networks {network:?}).IPAddress}}}}");
        let address = self.engine.docker(&["inspect", "--format", &format, &self.id]);
        address
            .parse()
            .unwrap_or_else(|_| unreachable!("{} has no address but {address:?}", self.name))
    }

    /// Connects it to `network` as well.
    pub(crate) fn connect(&self, network: &str) {
        self.engine.docker(&["network", "connect", network, &self.id]);
    }

    /// Disconnects it from `network`.
    pub(crate) fn disconnect(&self, network: &str) {
        self.engine.docker(&["network", "disconnect", network, &self.id]);
    }

    /// Runs a docker command that takes the container as its last word: `stop`, `kill -s HUP`, `pause`.
    pub(crate) fn docker(&self, command: &str) {
        let words: Vec<_> = command.split(' ').chain([self.id.as_str()]).collect();
        self.engine.docker(&words);
    }

    /// Whether its process runs.
    pub(crate) fn is_running(&self) -> bool {
        self.engine
            .docker(&["inspect", "--format", "{{.State.Running}}", &self.id])
            == "true"
    }

    /// What it has printed.
    pub(crate) fn log(&self) -> String {
        // docker's own streams are those of the container.
        self.engine.docker_streams(&["logs", &self.id])
    }

    /// Its exit code, once it has ended.
    pub(crate) fn exit_code(&self) -> String {
        self.engine.docker(&["wait", &self.id])
    }

    /// Renames it.
    pub(crate) fn rename(&mut self, name: &str) {
        self.engine.docker(&["rename", &self.id, name]);
        name.clone_into(&mut self.name);
    }

    /// Runs a program in it: whether it was content, and what it printed.
    pub(crate) fn exec(&self, program: &[&str]) -> (bool, String) {
        let words: Vec<_> = ["exec", &self.id]
            .into_iter()
            .chain(program.iter().copied())
            .collect();
        self.engine.try_docker(&words)
    }
}

/// A network that goes away with the value that stands for it.
pub(crate) struct Network {
    engine: Arc<Engine>,
    name: String,
}

impl Network {
    /// Makes a bridge network; `None`, and the reason was printed, where this host has no room for one.
    pub(crate) fn make(engine: &Arc<Engine>, name: &str) -> Option<Self> {
        Self::make_with(engine, name, &[])
    }

    /// The same, with more arguments of `docker network create`.
    pub(crate) fn make_with(engine: &Arc<Engine>, name: &str, arguments: &[&str]) -> Option<Self> {
        if let Err(reason) = engine.make_network(name, arguments) {
            let said = format!("docker makes no network: {reason}");
            // What the kernel lacks, as macvlan, nobody can install.
            if reason.contains("operation not supported") {
                skip_here(&said);
            } else {
                skip(&said);
            }
            return None;
        }
        let (engine, name) = (Arc::clone(engine), name.to_owned());
        Some(Self { engine, name })
    }

    /// The address of its gateway.
    pub(crate) fn gateway(&self) -> String {
        let format = "{{(index .IPAM.Config 0).Gateway}}";
        self.engine
            .docker(&["network", "inspect", "--format", format, &self.name])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.engine.try_docker(&["network", "rm", &self.name]);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A private engine may have been stopped by the test; it takes its containers along.
        let _ = self.engine.try_docker(&["rm", "--force", "--volumes", &self.id]);
    }
}
