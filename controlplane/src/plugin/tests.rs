use std::path::Path;

use super::*;
use crate::fixture::service;

fn defaults() -> Defaults {
    Defaults {
        ttl_seconds: 30,
        environment: "dev".to_owned(),
    }
}

/// Plugins of one file with this text, which ends up in the directory.
fn plugins(source: &str) -> (Plugins, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.js");
    std::fs::write(&file, source).unwrap();
    let plugins = Plugins::with(vec![file], defaults(), Duration::from_millis(400)).unwrap();
    (plugins, directory)
}

fn seen(name: &str) -> Seen {
    let described = Described {
        id: format!("{name:0<64}"),
        name: format!("/{name}"),
        ..Described::default()
    };
    described.seen(&[])
}

/// What the service of container `name` is called.
async fn called(plugins: &Plugins, name: &str) -> Vec<String> {
    let services = plugins.apply(&seen(name), service("e", name)).await;
    services
        .iter()
        .map(|service| service.service.to_string())
        .collect()
}

const NAMES: &str = "function createService(c) { return {Service: 's-' + removeSlash(c.Name)}; }";

async fn eventually(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_true().await {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn containers_asked_about_at_once_each_get_their_own_answer() {
    let (plugins, _directory) = plugins(NAMES);
    let asked = (0..200).map(|n| {
        let plugins = plugins.clone();
        async move { (n, called(&plugins, &format!("c{n}")).await) }
    });
    for (n, called) in futures_util::future::join_all(asked).await {
        assert_eq!(called, [format!("s-c{n}")]);
    }
}

#[tokio::test]
async fn one_that_nobody_waits_for_any_more_is_passed_over() {
    let (plugins, _directory) = plugins("function createService(c) { if (c.Name === '/slow') for (;;) {} }");
    let mut changed = plugins.changed();
    // Each would cost 50 ms, and a few of them the plugin.
    for _ in 0..20 {
        let given_up = tokio::time::timeout(Duration::from_millis(1), called(&plugins, "slow")).await;
        assert!(given_up.is_err());
    }
    assert_eq!(called(&plugins, "quick").await, ["web"]);
    assert!(!changed.has_changed().unwrap_or(true) || changed.borrow_and_update().eq(&0));
}

#[tokio::test]
async fn a_plugin_that_runs_into_limits_again_and_again_is_left_out() {
    let (plugins, _directory) = plugins("function createService(c) { for (;;) {} }");
    let changed = plugins.changed();
    for n in 0..limits::LIMITS_IN_A_ROW_MAX {
        assert_eq!(plugins.files().len(), 1, "after {n}");
        assert_eq!(called(&plugins, "web1").await, ["web"]);
    }
    eventually("it is left out", async || plugins.files().is_empty()).await;
    eventually("all are named anew", async || *changed.borrow() == 1).await;
    assert_eq!(called(&plugins, "web1").await, ["web"]);
}

#[tokio::test]
async fn one_container_that_a_plugin_cannot_stand_does_not_cost_the_others_their_names() {
    let (plugins, _directory) =
        plugins("function createService(c) { if (c.Name === '/bad') for (;;) {} return {Service: 'good'}; }");
    for _ in 0..2 * limits::LIMITS_IN_A_ROW_MAX {
        assert_eq!(called(&plugins, "bad").await, ["web"]);
        assert_eq!(called(&plugins, "other").await, ["good"]);
    }
    assert_eq!(plugins.files().len(), 1);
}

#[tokio::test]
async fn a_thread_that_cannot_be_stopped_is_left_behind() {
    // It ends after some seconds; nothing that looks at the limits runs in between.
    let source = "function createService(c) {
        if (c.Name === '/stuck') [].reverse.call({length: 5e7});
        return {Service: 'good'};
    }";
    let (plugins, _directory) = plugins(source);
    let changed = plugins.changed();
    let (first, second) = tokio::join!(called(&plugins, "stuck"), called(&plugins, "behind"));
    assert_eq!((first, second), (vec!["web".to_owned()], vec!["web".to_owned()]));
    assert_eq!(*changed.borrow(), 1, "all are named anew, without it, and once");
    assert!(plugins.files().is_empty());
    assert_eq!(plugins.0.threads.load(Ordering::Relaxed), 2);
    // Read again it is in force again.
    plugins.0.read_again().unwrap();
    assert_eq!(called(&plugins, "other").await, ["good"]);
}

#[tokio::test]
async fn changed_files_come_into_force_and_broken_ones_do_not() {
    let (plugins, directory) = plugins(NAMES);
    let file = directory.path().join("p.js");
    let stop = CancellationToken::new();
    let keeping_up = tokio::spawn(plugins.clone().keep_up(stop.clone()));
    let mut changed = plugins.changed();
    write(&file, "function createService() { return {Service: 'new'}; }");
    changed.changed().await.unwrap();
    assert_eq!(called(&plugins, "web1").await, ["new"]);

    write(&file, "function createService( {");
    plugins.reload();
    tokio::time::sleep(3 * LOOK_EVERY).await;
    assert_eq!(called(&plugins, "web1").await, ["new"]);
    std::fs::remove_file(&file).unwrap();
    plugins.reload();
    tokio::time::sleep(LOOK_EVERY / 2).await;
    assert_eq!(called(&plugins, "web1").await, ["new"]);
    assert!(!changed.has_changed().unwrap());

    write(&file, NAMES);
    plugins.reload();
    changed.changed().await.unwrap();
    assert_eq!(called(&plugins, "web1").await, ["s-web1"]);
    stop.cancel();
    keeping_up.await.unwrap();
}

fn write(file: &Path, text: &str) {
    // As careful writers do, so that nobody reads half of it.
    let other = file.with_extension("new");
    std::fs::write(&other, text).unwrap();
    std::fs::rename(&other, file).unwrap();
}

#[tokio::test]
async fn the_thread_ends_with_its_plugins() {
    let (plugins, _directory) = plugins(NAMES);
    let threads = plugins.0.threads.clone();
    assert_eq!(threads.load(Ordering::Relaxed), 1);
    drop(plugins);
    eventually("it ended", async || threads.load(Ordering::Relaxed) == 0).await;
}

#[test]
fn a_trial_tells_everything() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.js");
    std::fs::write(&file, "function createService() { console.log('hm'); throw 1; }").unwrap();
    let trial = Trial::load(&[file], defaults()).unwrap();
    let made = trial.run(&seen("web1"), service("e", "web1"));
    assert_eq!(
        (made.services.len(), made.said.len(), made.failed.len()),
        (1, 1, 1)
    );
}
