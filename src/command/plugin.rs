//! `skydock plugin`: what plugins make of containers, without a daemon.

use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use controlplane::Service;
use controlplane::docker::once::{self, Found};
use controlplane::docker::{ContainerSettings, Endpoint, ThisHost};
use controlplane::naming::{Naming, Role};
use controlplane::plugin::{Defaults, Level, Made, Trial};
use dns::Name;
use serde_json::{Value, json};

use crate::failure::{self, Failure};
use crate::output::{plain, pretty, show};

/// Octets of a file with containers. `docker inspect` writes some ten thousand a container.
const INPUT_OCTETS_MAX: u64 = 64 << 20;

/// Flags of `skydock plugin`.
#[derive(Debug, Args)]
pub(crate) struct Plugin {
    #[command(subcommand)]
    action: Action,
}

/// What to do with plugins.
#[derive(Debug, Subcommand)]
enum Action {
    /// Show what plugins make of a container
    Run(Run),
}

/// Flags of `skydock plugin run`.
#[derive(Debug, Args)]
struct Run {
    /// JavaScript file; several, separated by commas, are asked in order
    #[arg(value_name = "FILE")]
    files: String,

    /// Name or id of a container; or a file that `docker inspect` wrote, or - for standard input [default: every running
    /// container]
    #[arg(value_name = "CONTAINER|FILE.json")]
    container: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Container engine to ask [default: DOCKER_HOST, else the first socket found]
    #[arg(short = 's', long, value_name = "ENDPOINT")]
    docker: Option<String>,

    /// Domain that names are shown in
    #[arg(long, env = "SKYDOCK_DOMAIN", value_name = "NAME", default_value = "docker")]
    domain: String,

    /// What `defaultEnvironment` is
    #[arg(
        long,
        env = "SKYDOCK_ENVIRONMENT",
        value_name = "LABEL",
        default_value = "dev"
    )]
    environment: String,

    /// What `defaultTTL` is
    #[arg(long, env = "SKYDOCK_TTL", value_name = "SECONDS", default_value_t = 30)]
    ttl: u32,
}

/// A container, and what became of it.
struct Outcome {
    found: Found,
    /// None where it has no names whatever plugins say.
    made: Option<Made>,
}

impl Plugin {
    /// Runs the plugins and prints what they made: exit code 1 where one of them failed.
    ///
    /// # Errors
    ///
    /// - [`Failure::Usage`]: a file that is no plugin, or no list of containers.
    /// - [`Failure::Runtime`]: an engine that does not tell.
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let Action::Run(run) = self.action;
        // The variable is the daemon's, and may name several.
        let domain = run.domain.split(',').next().unwrap_or_default().trim();
        let zone: Name = domain
            .parse()
            .map_err(|error| Failure::Usage(format!("--domain {domain:?}: {error}")))?;
        let defaults = Defaults {
            ttl_seconds: run.ttl,
            environment: run.environment.clone(),
        };
        let files: Vec<_> = run
            .files
            .split(',')
            .map(|file| PathBuf::from(file.trim()))
            .collect();
        let trial = Trial::load(&files, defaults).map_err(|error| Failure::Usage(error.to_string()))?;
        let outcomes: Vec<_> = run
            .containers()?
            .into_iter()
            .map(|found| {
                let built_in = found.built_in.clone().ok();
                let made = built_in.map(|built_in| trial.run(&found.seen, built_in));
                Outcome { found, made }
            })
            .collect();
        let naming = Naming::new(vec![zone]);
        let text = match run.json {
            true => {
                let all: Vec<_> = outcomes.iter().map(|outcome| outcome.to_json(&naming)).collect();
                pretty(&Value::Array(all)) + "\n"
            }
            false if outcomes.is_empty() => "no container runs\n".to_owned(),
            false => {
                let text: String = outcomes.iter().map(|outcome| outcome.to_text(&naming)).collect();
                text.lines().map(|line| plain(line) + "\n").collect()
            }
        };
        show(&text)?;
        let has_failed =
            |outcome: &Outcome| outcome.made.as_ref().is_some_and(|made| !made.failed.is_empty());
        Ok(match outcomes.iter().any(has_failed) {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }
}

impl Run {
    fn containers(&self) -> Result<Vec<Found>, Failure> {
        let settings = ContainerSettings::new(&self.environment, "local", self.ttl);
        match self.container.as_deref() {
            Some("-") => read(&mut std::io::stdin().lock(), "standard input", &settings),
            Some(file) if file.contains('/') || file.ends_with(".json") || Path::new(file).is_file() => {
                let opened = std::fs::File::open(file);
                let mut opened =
                    opened.map_err(|error| Failure::Usage(format!("{file} cannot be read: {error}")))?;
                read(&mut opened, file, &settings)
            }
            container => self.look(container, &settings),
        }
    }

    fn look(&self, container: Option<&str>, settings: &ContainerSettings) -> Result<Vec<Found>, Failure> {
        let endpoint = Endpoint::find(self.docker.as_deref(), &ThisHost)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failure::of("the runtime does not start", &error))?;
        runtime
            .block_on(once::look(&endpoint, container, settings))
            .map_err(|error| Failure::Runtime(error.to_string()))
    }
}

fn read(input: &mut dyn Read, called: &str, settings: &ContainerSettings) -> Result<Vec<Found>, Failure> {
    let mut json = Vec::new();
    input
        .take(INPUT_OCTETS_MAX)
        .read_to_end(&mut json)
        .map_err(|error| Failure::Usage(format!("{called} cannot be read: {error}")))?;
    once::read(&json, settings)
        .map_err(|error| Failure::Usage(format!("{called} is not what `docker inspect` prints: {error}")))
}

/// The names of a service, each once; those that point back to it by address are left out.
fn names(service: &Service, naming: &Naming) -> Result<Vec<String>, String> {
    let names = naming.names(service).map_err(|error| error.to_string())?;
    let mut all: Vec<String> = Vec::new();
    let canonical = names.iter().map(|names| names.canonical.to_string());
    let places = names.iter().flat_map(|names| &names.places);
    let places = places.filter(|(_, role)| *role != Role::Reverse);
    let own = service.wishes.iter().flat_map(|wishes| &wishes.names);
    for name in canonical
        .chain(places.map(|(name, _)| name.to_string()))
        .chain(own.map(ToString::to_string))
    {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    Ok(all)
}

impl Outcome {
    fn to_text(&self, naming: &Naming) -> String {
        let Found {
            name, id, built_in, ..
        } = &self.found;
        let mut text = format!("{name} ({})\n", id.get(..12).unwrap_or(id));
        // Writing to a text never fails, here and below.
        let _ = match (&self.made, built_in) {
            (Some(made), _) => made_to_text(made, naming, &mut text),
            (None, Err(standing)) => {
                writeln!(text, "  no names, and plugins are not asked: {standing}")
            }
            (None, Ok(_)) => Ok(()),
        };
        text
    }

    fn to_json(&self, naming: &Naming) -> Value {
        let Found {
            name, id, built_in, ..
        } = &self.found;
        let container = json!({"id": &**id, "name": name});
        let Some(made) = &self.made else {
            let reason = built_in.as_ref().err().map(ToString::to_string);
            return json!({"container": container, "services": [], "reason": reason, "said": [], "failed": []});
        };
        let said = made
            .said
            .iter()
            .map(|(plugin, said)| json!({"plugin": &**plugin, "level": word(said.level), "text": said.text}));
        let failed = made.failed.iter().map(|error| {
            let (line, column) = error.place.unzip();
            json!({"plugin": &*error.file, "line": line, "column": column, "error": error.fault.to_string()})
        });
        json!({
            "container": container,
            "decidedBy": made.decided_by.as_deref(),
            "services": made.services.iter().map(|service| to_json(service, naming)).collect::<Vec<_>>(),
            "said": said.collect::<Vec<_>>(),
            "failed": failed.collect::<Vec<_>>(),
        })
    }
}

fn made_to_text(made: &Made, naming: &Naming, text: &mut String) -> std::fmt::Result {
    for (_, said) in &made.said {
        writeln!(text, "  {:<5} {}", word(said.level), said.text)?;
    }
    for error in &made.failed {
        writeln!(text, "  FAILED {error}")?;
    }
    match &made.decided_by {
        Some(file) => writeln!(text, "  named by {file}")?,
        None => writeln!(text, "  named as without a plugin")?,
    }
    if made.services.is_empty() {
        writeln!(text, "  no names")?;
    }
    for service in &made.services {
        match names(service, naming) {
            Ok(names) => {
                for (place, name) in names.iter().enumerate() {
                    let sign = if place == 0 { '+' } else { ' ' };
                    writeln!(text, "  {sign} {name}")?;
                }
            }
            Err(error) => writeln!(text, "  ! {error}")?,
        }
        facts(service, text)?;
    }
    Ok(())
}

/// What a service says besides its names, where it says anything.
fn facts(service: &Service, text: &mut String) -> std::fmt::Result {
    let wishes = service.wishes.as_deref().cloned().unwrap_or_default();
    match &wishes.alias {
        Some(alias) => writeln!(text, "      alias of  {alias}")?,
        None => {
            let addresses = service.addresses.iter().map(|address| address.ip.to_string());
            writeln!(
                text,
                "      addresses {}",
                addresses.collect::<Vec<_>>().join(", ")
            )?;
        }
    }
    writeln!(text, "      ttl       {} s", service.ttl_seconds)?;
    if let Some(port) = service.announced_port() {
        writeln!(text, "      port      {port}")?;
    }
    for named in &wishes.named_ports {
        writeln!(
            text,
            "      port      {} {:?} {}",
            named.name, named.port.protocol, named.port.number
        )?;
    }
    for (what, number) in [("priority ", wishes.priority), ("weight   ", wishes.weight)] {
        if let Some(number) = number {
            writeln!(text, "      {what} {number}")?;
        }
    }
    for txt in &wishes.texts {
        writeln!(text, "      text      {txt}")?;
    }
    Ok(())
}

fn to_json(service: &Service, naming: &Naming) -> Value {
    let wishes = service.wishes.as_deref().cloned().unwrap_or_default();
    let names = names(service, naming);
    let protocol = |protocol| format!("{protocol:?}").to_lowercase();
    let named = wishes
        .named_ports
        .iter()
        .map(|it| json!({"name": &*it.name, "port": it.port.number, "protocol": protocol(it.port.protocol)}));
    json!({
        "service": &*service.service,
        "instance": &*service.instance,
        "environment": &*service.environment,
        "region": &*service.region,
        "host": service.host(),
        "alias": wishes.alias.as_ref().map(ToString::to_string),
        "addresses": service.addresses.iter().map(|it| it.ip.to_string()).collect::<Vec<_>>(),
        "port": service.announced_port(),
        "ports": service
            .ports
            .iter()
            .map(|it| format!("{}/{}", it.number, protocol(it.protocol)))
            .collect::<Vec<_>>(),
        "namedPorts": named.collect::<Vec<_>>(),
        "ttl": service.ttl_seconds,
        "priority": wishes.priority,
        "weight": wishes.weight,
        "texts": wishes.texts.iter().map(|text| &**text).collect::<Vec<_>>(),
        "names": names.as_ref().ok(),
        "error": names.as_ref().err(),
    })
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}
