//! `skydock services`: what a running skydock knows, and changes to what is registered.

mod given;
mod table;
mod watch;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::given::{Changed, Given};
use super::client::{self, Ask, Method, Target, Trouble, escaped, field as said, is_terminal, read};
use crate::failure::Failure;
use crate::output::{pretty, show};

/// Services asked for at one time.
const PAGE: usize = 1000;

const CODES: &str = "\
Exit codes:
  0  done
  1  the daemon cannot be reached, or cannot do it now; or its answer cannot be printed
  2  a mistake in what was asked
  3  there is no such service
  4  it is there already, or is not as --if-revision has it
  5  the secret is missing or wrong

Examples:
  skydock services
  skydock services list --service web --json
  skydock services add db1 --service db --address 10.0.0.7 --port 5432 --ttl 60
  skydock services heartbeat db1
  skydock services update db1 --address 10.0.0.8
  skydock services update db1 --clear texts,priority
  skydock services watch";

/// Flags of `skydock services`.
#[derive(Debug, Args)]
#[command(after_help = CODES)]
pub(crate) struct Services {
    #[command(flatten)]
    target: Target,

    /// Print JSON, as the daemon gives it; one line for each event
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    action: Option<Action>,
}

/// What to do with services.
#[derive(Debug, Subcommand)]
enum Action {
    /// List all services: those of containers, and those that were registered (what `skydock services` alone does)
    List(Filter),
    /// Show one
    Get {
        /// Its id: a container's is its uuid
        id: String,
    },
    /// Register one
    Add {
        /// Its id from now on
        id: String,
        #[command(flatten)]
        given: Box<Given>,
        /// Replace what is registered under this id
        #[arg(long)]
        replace: bool,
    },
    /// Change some of what is registered
    Update {
        /// Its id
        id: String,
        #[command(flatten)]
        change: Box<Changed>,
        /// Only if it has this revision
        #[arg(long, value_name = "NUMBER")]
        if_revision: Option<u64>,
    },
    /// Say that it still lives
    Heartbeat {
        /// Its id
        id: String,
        /// Seconds that it lives from now on [default: as it was registered]
        #[arg(long, value_name = "SECONDS")]
        ttl: Option<u32>,
    },
    /// Remove one that was registered
    Rm {
        /// Its id
        id: String,
        /// Only if it has this revision
        #[arg(long, value_name = "NUMBER")]
        if_revision: Option<u64>,
    },
    /// Show each change as it happens, until interrupted
    Watch,
}

/// Which services to list.
#[derive(Debug, Default, Args)]
struct Filter {
    /// Labels as a question has them, without the domain: web.dev
    #[arg(long, value_name = "LABELS")]
    query: Option<String>,
    /// Those of this service
    #[arg(long, value_name = "LABEL")]
    service: Option<String>,
    /// Those in this environment
    #[arg(long, value_name = "LABEL")]
    environment: Option<String>,
    /// Those from here: rest, engine, or an engine's endpoint
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Those in this state: none, starting, healthy or unhealthy
    #[arg(long, value_name = "STATE")]
    health: Option<String>,
}

impl Services {
    /// Asks the daemon, and prints what it says.
    ///
    /// # Errors
    ///
    /// [`Failure`]: it cannot be asked, or does not answer. What it refuses is printed here, and is in the exit code.
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        client::run(self.act())
    }

    async fn act(self) -> Result<(), Trouble> {
        let Self { target, json, action } = self;
        match action.unwrap_or(Action::List(Filter::default())) {
            Action::List(filter) => list(&target, json, &filter).await,
            Action::Get { id } => {
                let reply = target.ask(Ask::of(Method::GET, path(&id))).await?;
                show_one(&reply, json)
            }
            Action::Add { id, given, replace } => {
                let headers = match replace {
                    true => vec![],
                    false => vec![("If-None-Match", "*".to_owned())],
                };
                let ask = Ask {
                    headers,
                    body: Some(given.body()?.to_string()),
                    ..Ask::of(Method::PUT, path(&id))
                };
                show_one(&target.ask(ask).await?, json)
            }
            Action::Update {
                id,
                change,
                if_revision,
            } => {
                let ask = Ask {
                    headers: condition(if_revision),
                    body: Some(change.body()?.to_string()),
                    ..Ask::of(Method::PATCH, path(&id))
                };
                show_one(&target.ask(ask).await?, json)
            }
            Action::Heartbeat { id, ttl } => {
                let ask = Ask {
                    body: ttl.map(|ttl| json!({ "ttl": ttl }).to_string()),
                    ..Ask::of(Method::POST, format!("{}/heartbeat", path(&id)))
                };
                show_one(&target.ask(ask).await?, json)
            }
            Action::Rm { id, if_revision } => {
                let ask = Ask {
                    headers: condition(if_revision),
                    ..Ask::of(Method::DELETE, path(&id))
                };
                target.ask(ask).await.map(drop)
            }
            Action::Watch => watch::run(&target, json).await,
        }
    }
}

/// All pages of a list.
async fn list(target: &Target, is_json: bool, filter: &Filter) -> Result<(), Trouble> {
    let mut services = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![format!("limit={PAGE}")];
        let words = [
            ("query", &filter.query),
            ("service", &filter.service),
            ("environment", &filter.environment),
            ("source", &filter.source),
            ("health", &filter.health),
            ("after", &after),
        ];
        let given = words
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        query.extend(given.map(|(name, value)| format!("{name}={}", escaped(value))));
        let reply = target
            .ask(Ask::of(Method::GET, format!("/v1/services?{}", query.join("&"))))
            .await?;
        let mut page = read(&reply)?;
        if let Some(Value::Array(more)) = page.get_mut("services").map(Value::take) {
            services.extend(more);
        }
        match said(&page, "next").as_str() {
            Some(next) if after.as_deref() == Some(next) => {
                let sentence = "the list does not end; is it skydock that --url names?";
                return Err(Failure::Runtime(sentence.to_owned()).into());
            }
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    let text = match is_json {
        true => pretty(&Value::Array(services)) + "\n",
        false => table::of(&services, is_terminal()),
    };
    Ok(show(&text)?)
}

fn show_one(reply: &[u8], is_json: bool) -> Result<(), Trouble> {
    let service = read(reply)?;
    let text = match is_json {
        true => pretty(&service) + "\n",
        false => table::of_one(&service),
    };
    Ok(show(&text)?)
}

fn condition(revision: Option<u64>) -> Vec<(&'static str, String)> {
    revision
        .map(|revision| ("If-Match", format!("\"{revision}\"")))
        .into_iter()
        .collect()
}

fn path(id: &str) -> String {
    format!("/v1/services/{}", escaped(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_id_holds_is_one_part_of_the_path() {
        assert_eq!(path("a/b c?#%\u{fc}"), "/v1/services/a%2Fb%20c%3F%23%25%C3%BC");
    }
}
