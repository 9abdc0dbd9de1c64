//! Containers that go away with the value that stands for them.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::engine::{BUSYBOX, Engine};
use super::unique;

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
        // Process 1 ignores SIGTERM unless it says otherwise, and `docker stop` would wait for ten seconds.
        let mut words = vec!["run", "--detach", "--name", name, "--stop-signal", "KILL"];
        words.extend_from_slice(arguments);
        words.push(image);
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
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = self.engine.docker(&["inspect", "--format", format, &self.id]);
        address
            .parse()
            .unwrap_or_else(|_| unreachable!("{} has no address but {address:?}", self.name))
    }

    /// Runs a docker command that takes the container as its last word: `stop`, `kill -s HUP`, `pause`.
    pub(crate) fn docker(&self, command: &str) {
        let words: Vec<_> = command.split(' ').chain([self.id.as_str()]).collect();
        self.engine.docker(&words);
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

impl Drop for Container {
    fn drop(&mut self) {
        // A private engine may have been stopped by the test; it takes its containers along.
        let _ = self.engine.try_docker(&["rm", "--force", "--volumes", &self.id]);
    }
}
