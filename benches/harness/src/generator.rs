//! The load generator as a process of its own: on its own cores, and in a network namespace if need be.
//!
//! It reads one line of JSON for each measurement and writes one with what came of it. Its questions are made once.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::load::{self, Outcome, Spec, Turns};
use crate::measure::Asker;
use crate::mix::{Mix, Script};
use crate::process::on_cores;
use crate::world::World;

/// A generator at work. It ends when this is dropped.
#[derive(Debug)]
pub struct Generator {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Generator {
    /// Starts one on `cores`, in the network namespace of this name if there is one.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(cores: &[usize], world: World, namespace: Option<&str>) -> io::Result<Self> {
        let ourselves = std::env::current_exe()?;
        let mut command = match namespace {
            None => Command::new(&ourselves),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(&ourselves);
                command
            }
        };
        let numbers: Vec<_> = cores.iter().map(ToString::to_string).collect();
        command.args([
            "load",
            "--cores",
            &numbers.join(","),
            "--names",
            &world.many().to_string(),
        ]);
        let mut child = on_cores(&command, cores)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = child.stdin.take();
        let from = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            child,
            to,
            from: BufReader::new(from),
        })
    }

    /// Has it go before others on its cores, where that is allowed: who is not root measures what they take, too.
    pub fn goes_first(&self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("renice").args(["-n", "-15", "-p", &pid]).output();
    }
}

impl Asker for Generator {
    fn ask(&mut self, mix: Mix, spec: &Spec) -> io::Result<Outcome> {
        let line = json!({"mix": mix.word(), "spec": spec.to_json()});
        let to = self.to.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(to, "{line}")?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        let value: Value = serde_json::from_str(&line)?;
        Outcome::from_json(&value).ok_or_else(|| io::Error::other(value["error"].to_string()))
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        // The end of its input is its end.
        self.to = None;
        let _ = self.child.wait();
    }
}

/// Serves a [`Generator`]: requests come from `input`, outcomes go to `output`.
///
/// # Errors
///
/// Whoever asked is gone.
pub fn serve(cores: &[usize], world: World, input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut scripts: HashMap<Mix, Script> = HashMap::new();
    let mut turns: HashMap<(Mix, SocketAddr), Turns> = HashMap::new();
    for line in input.lines() {
        let value: Value = serde_json::from_str(&line?)?;
        let mix = value["mix"].as_str().and_then(Mix::of_word);
        let answer = match (mix, Spec::from_json(&value["spec"])) {
            (Some(mix), Some(spec)) => {
                let script = scripts.entry(mix).or_insert_with(|| mix.script(world));
                let turns = turns.entry((mix, spec.to)).or_default();
                match load::run(&spec, script, turns, cores) {
                    Ok(outcome) => outcome.to_json(),
                    Err(error) => json!({"error": error.to_string()}),
                }
            }
            _ => json!({"error": "no such mix, or no spec"}),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_and_the_next_line_is_served() {
        let input = b"{\"mix\": \"cold\"}\n{\"mix\": \"hot\", \"spec\": {\"to\": \"x\"}}\n";
        let mut output = Vec::new();
        serve(&[], World::new(1), &input[..], &mut output).unwrap();
        let lines = String::from_utf8(output).unwrap();
        assert_eq!(lines.matches("no such mix, or no spec").count(), 2, "{lines}");
    }
}
