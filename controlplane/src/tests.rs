use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::docker::{ContainerSettings, Endpoint, ThisHost, Watch};
use crate::fixture::{builder, name};

fn config(engines: Vec<Watch>) -> Config {
    Config {
        zones: vec![name("docker")],
        published: PublishedAt::default(),
        engines,
        admin: None,
        access: Access::default(),
        renewal: None,
        defaults: fixture::defaults(),
        data_dir: None,
        count_cores: Arc::new(WorkerCounts::default),
        rehearse: Arc::new(|_, _| Rehearsed::Silence),
        flush_cache: Arc::new(|_| {}),
    }
}

/// An engine that is not there.
fn absent(directory: &tempfile::TempDir) -> Watch {
    let socket = directory.path().join("docker.sock").display().to_string();
    let settings = ContainerSettings::new("dev", "here", 30);
    Watch::new(Endpoint::find(Some(&socket), &ThisHost).unwrap(), settings)
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named_and_everything_stops_when_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut builder = builder(&["docker"]);
    let (publisher, mut reader) = dns::channel(builder.build());
    let (status, mut watched) = watch::channel(Status::default());
    let stop = CancellationToken::new();
    let admin = Some(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let config = Config {
        admin,
        ..config(vec![absent(&directory)])
    };
    let running = tokio::spawn(run(config, builder, publisher, status, stop.clone()));

    let away = |status: &Status| {
        status
            .engines
            .iter()
            .any(|engine| matches!(engine.state, docker::EngineState::Away { .. }))
    };
    timeout(Duration::from_secs(5), watched.wait_for(away))
        .await
        .unwrap()
        .unwrap();
    let missing = watched.borrow().missing().join("\n");
    assert!(
        missing.contains(&directory.path().display().to_string()),
        "{missing}"
    );
    assert_eq!(reader.load().serial(), 1, "what was there goes on being served");

    stop.cancel();
    timeout(Duration::from_secs(5), running)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn without_engines_it_runs_until_told() {
    let mut builder = builder(&["docker"]);
    let (publisher, _reader) = dns::channel(builder.build());
    let (status, mut watched) = watch::channel(Status::default());
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(config(vec![]), builder, publisher, status, stop.clone()));
    watched.wait_for(|status| status.is_complete).await.unwrap();
    assert!(!running.is_finished());
    stop.cancel();
    running.await.unwrap().unwrap();
}
