//! All plugins, asked about one container, in order.
//!
//! ```text
//!             for each file, in order                                          for each file, in order
//!  container ─▶ filterContainer ─▶ createService ─ undefined: the next ─┐   ┌─▶ names(service) ─▶ Services
//!                 │ false            │ null          an object, a list ─┼───┤
//!                 └─▶ no names ◀─────┘               nobody said: ──────┘   └─ built-in naming where none said
//! ```
//!
//! The first file whose `createService` says something decides, be it `null`. Filters of the files before it have a say,
//! those of the files behind it do not; `names` has the last word, each file seeing what those before it made. A file
//! that fails counts as one that said nothing, so its container goes on to the next file and in the end to the built-in
//! naming.

use std::sync::Arc;

use rquickjs::{Ctx, Value};
use serde::Serialize;

use super::answer::{self, Answer};
use super::container::Seen;
use super::fault::{Fault, PluginError};
use super::helpers::Defaults;
use super::limits::CONTAINER_OCTETS_MAX;
use super::run::{Failed, Run, Stop, function};
use super::said::Said;
use super::script::Script;
use super::wanted;
use crate::service::Service;

/// What the plugins made of one container.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// Its services; none where it gets no names.
    pub services: Vec<Service>,
    /// The file that decided; none where the built-in naming did.
    pub decided_by: Option<Arc<str>>,
    /// What the plugins said, each with its file.
    pub said: Vec<(Arc<str>, Said)>,
    /// Which plugins failed, and why.
    pub failed: Vec<PluginError>,
}

/// Asks `scripts`, in order, about a container whose service without any plugin would be `built_in`.
///
/// `tell` is told which of them runs now.
pub(super) fn ask<'s>(
    scripts: impl IntoIterator<Item = &'s Script>,
    seen: &Seen,
    built_in: Service,
    defaults: &Defaults,
    mut tell: impl FnMut(&Script),
) -> Made {
    let mut made = Made::default();
    let mut undecided = true;
    let mut skipped = false;
    let mut naming = Vec::new();
    for script in scripts {
        if !undecided && !script.names {
            continue;
        }
        tell(script);
        let run = match start(script, seen, defaults) {
            Ok(run) => run,
            Err(failed) => {
                made.failed.push(script.failed(failed, Some(seen.called.clone())));
                continue;
            }
        };
        if undecided {
            match first_word(&run, script, seen) {
                Ok(Answer::Undecided) => {}
                Ok(answer) => {
                    undecided = false;
                    made.decided_by = Some(script.file.clone());
                    match answer {
                        Answer::Services(all) => {
                            made.services = wanted::apply(all, &built_in);
                        }
                        Answer::Skip | Answer::Undecided => skipped = true,
                    }
                }
                Err(failed) => made.failed.push(script.failed(failed, Some(seen.called.clone()))),
            }
        }
        if script.names && !skipped {
            naming.push((script, run));
        } else {
            made.hear(script, &run);
        }
        if skipped {
            break;
        }
    }
    if undecided {
        made.services = vec![built_in];
    }
    for (script, run) in &naming {
        if !skipped {
            tell(script);
            if let Err(failed) = last_word(run, seen, &mut made.services) {
                made.failed.push(script.failed(failed, Some(seen.called.clone())));
            }
        }
        made.hear(script, run);
    }
    made
}

fn start<'s>(script: &'s Script, seen: &Seen, defaults: &Defaults) -> Result<Run<'s>, Failed> {
    if seen.json.len() > CONTAINER_OCTETS_MAX {
        let text = format!("the container is described in more than {CONTAINER_OCTETS_MAX} octets");
        return Err((Fault::Answer(text), None));
    }
    Run::start(script, defaults)
}

/// What `filterContainer` and `createService` say.
fn first_word(run: &Run<'_>, script: &Script, seen: &Seen) -> Result<Answer, Failed> {
    if !script.filters && !script.creates {
        return Ok(Answer::Undecided);
    }
    run.with(|ctx| {
        if script.filters
            && let Some(filter) = function(ctx, "filterContainer")?
            && answer::is_filtered(&filter.call((container(ctx, seen)?,))?)?
        {
            return Ok(Answer::Skip);
        }
        match function(ctx, "createService")?.filter(|_| script.creates) {
            Some(create) => answer::answer(&create.call((container(ctx, seen)?,))?),
            None => Ok(Answer::Undecided),
        }
    })
}

/// What `names` says of each service.
fn last_word(run: &Run<'_>, seen: &Seen, services: &mut [Service]) -> Result<(), Failed> {
    for service in services {
        let names = run.with(|ctx| {
            let Some(hook) = function(ctx, "names")? else {
                return Ok(None);
            };
            let told = Told::of(service);
            let json = serde_json::to_string(&told).expect("texts and numbers always are JSON");
            answer::names(&hook.call((ctx.json_parse(json)?, container(ctx, seen)?))?)
        })?;
        if let Some(names) = names {
            wanted::wishes(service, |wishes| wishes.names = names);
        }
    }
    Ok(())
}

/// The container, anew for each call: one function must not see what another did to it.
fn container<'js>(ctx: &Ctx<'js>, seen: &Seen) -> Result<Value<'js>, Stop> {
    Ok(ctx.json_parse(&*seen.json)?)
}

/// A service as `names` sees it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Told<'s> {
    service: &'s str,
    instance: &'s str,
    environment: &'s str,
    region: &'s str,
    host: String,
    port: Option<u16>,
    #[serde(rename = "TTL")]
    ttl: u32,
    names: Vec<String>,
}

impl<'s> Told<'s> {
    fn of(service: &'s Service) -> Self {
        let wishes = service.wishes.as_deref();
        Self {
            service: &service.service,
            instance: &service.instance,
            environment: &service.environment,
            region: &service.region,
            host: service.host(),
            port: service.announced_port(),
            ttl: service.ttl_seconds,
            names: wishes
                .map(|wishes| wishes.names.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
        }
    }
}

impl Made {
    fn hear(&mut self, script: &Script, run: &Run<'_>) {
        let said = run.said().into_iter();
        self.said.extend(said.map(|said| (script.file.clone(), said)));
    }
}

#[cfg(test)]
mod tests;
