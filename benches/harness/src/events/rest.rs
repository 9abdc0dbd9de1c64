//! What it costs to follow an engine at rest, whose containers are checked all the time.

use std::thread;
use std::time::{Duration, Instant};

use super::Steps;
use crate::cli::Outcome;
use crate::engine::{Engine, now};
use crate::field::Running;
use crate::table::table;
use crate::world::World;

/// Containers with a health check, and the time between two of its checks.
pub(super) const CHECKED: u32 = 300;
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// How long an engine at rest is watched, for each of what it may tell.
const REST: Duration = Duration::from_secs(10);
/// How long after its start skydock is left to itself.
const SETTLING: Duration = Duration::from_secs(5);
/// Names of skydock's worker threads, before the number of their core; all else is the control plane.
const WORKER: &str = "skydock-";

/// What the control plane takes of a core: while nothing is told, while one container in two seconds changes its health,
/// and while an engine that leaves nothing out tells of every check, too.
pub(super) fn at_rest(server: &Running, fake: &Engine, world: World, steps: &Steps) -> Outcome<String> {
    // What skydock inspects after its start is no rest.
    steps.begin("waiting until skydock rests")?;
    thread::sleep(SETTLING);
    let containers: Vec<_> = world.containers().collect();
    let changing: Vec<_> = containers.iter().take(2).collect();
    let watch = |what: &str, tell: &dyn Fn(u32)| -> Outcome<_> {
        steps.begin(&format!("the engine at rest: {what}"))?;
        let control = || server.process.cpu_seconds() - server.process.thread_seconds(WORKER);
        let (before, began) = (control(), Instant::now());
        let ticks = u32::try_from(containers.len()).unwrap_or(1);
        let mut tick = 0;
        while began.elapsed() < REST {
            thread::sleep((CHECK_EVERY / ticks * tick).saturating_sub(began.elapsed()));
            tell(tick);
            tick += 1;
        }
        let share = (control() - before) / began.elapsed().as_secs_f64();
        Ok(vec![what.to_owned(), format!("{:.3}", share * 100.0)])
    };
    let turn = |tick: u32| {
        let ticks = u32::try_from(containers.len()).unwrap_or(1);
        if tick.is_multiple_of(ticks)
            && let Some(it) = changing.get((tick / ticks) as usize % 2)
        {
            fake.tell(&health(&it.id(), &it.image, &it.instance));
        }
    };
    let rows = [
        vec![
            format!("control plane, {CHECKED} containers checked every {CHECK_EVERY:?}"),
            "% of a core".to_owned(),
        ],
        watch("nothing is told", &|_| ())?,
        watch("what engines tell who ask as we do", &turn)?,
        watch("the health after every check, as Podman tells", &|tick| {
            if let Some(it) = containers.get(tick as usize % containers.len().max(1)) {
                fake.tell(&podman_health(&it.id(), &it.image, &it.instance));
            }
        })?,
        watch("every check is told, though nobody asked", &|tick| {
            turn(tick);
            if let Some(it) = containers.get(tick as usize % containers.len().max(1)) {
                fake.tell(&check(&it.id(), &it.image, &it.instance));
            }
        })?,
    ];
    Ok(table(&rows))
}

/// The three events of a health check that succeeds, as Docker 20.10 tells them.
fn check(id: &str, image: &str, name: &str) -> String {
    let exec = "ee58e204ed2923dcdefed5b3db4bedc6c3a932724b71165cc10e3669132a8bb5";
    let event = |action: &str, more: &str| {
        format!(
            r#"{{"status":"{action}","id":"{id}","from":"{image}","Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{"execID":"{exec}",{more}"image":"{image}","name":"{name}"}}}},"scope":"local",{}}}"#,
            now()
        ) + "\n"
    };
    let created = event("exec_create: /bin/sh -c test -e /well", "");
    created + &event("exec_start: /bin/sh -c test -e /well", "") + &event("exec_die", r#""exitCode":"0","#)
}

fn health(id: &str, image: &str, name: &str) -> String {
    format!(
        r#"{{"status":"health_status: healthy","id":"{id}","from":"{image}","Type":"container","Action":"health_status: healthy","Actor":{{"ID":"{id}","Attributes":{{"image":"{image}","name":"{name}"}}}},"scope":"local",{}}}"#,
        now()
    ) + "\n"
}

/// The event of a health check, changed or not, as Podman 5 tells it.
fn podman_health(id: &str, image: &str, name: &str) -> String {
    format!(
        r#"{{"status":"health_status","id":"{id}","from":"{image}","Type":"container","Action":"health_status","Actor":{{"ID":"{id}","Attributes":{{"image":"{image}","name":"{name}"}}}},"scope":"local",{},"HealthStatus":"healthy"}}"#,
        now()
    ) + "\n"
}
