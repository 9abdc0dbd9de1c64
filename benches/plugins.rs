//! What plugins cost an event: a runtime made, the file read, the container shown, its answer checked.

use std::path::Path;

use controlplane::docker::ContainerSettings;
use controlplane::docker::once::{self, Found};
use controlplane::plugin::{Defaults, Trial};
use criterion::{Criterion, criterion_group, criterion_main};

fn trial(names: &[&str]) -> Trial {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
    let files: Vec<_> = names.iter().map(|name| directory.join(name)).collect();
    let defaults = Defaults {
        ttl_seconds: 30,
        environment: "dev".to_owned(),
    };
    Trial::load(&files, defaults).expect("they are shipped")
}

/// Containers as an engine describes them, with labels, variables and ports.
fn containers(count: usize) -> Vec<Found> {
    let container = |number: usize| {
        format!(
            r#"{{"Id": "{number:064x}", "Name": "/web{number}", "State": {{"Running": true}},
                "Config": {{"Image": "shop/web:7", "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "A=b", "SERVICE_TAGS=a"],
                    "Labels": {{"com.docker.compose.project": "shop", "com.docker.compose.service": "web",
                        "traefik.http.routers.web.rule": "Host(`web{number}.example`)"}},
                    "ExposedPorts": {{"80/tcp": {{}}, "443/tcp": {{}}}}}},
                "NetworkSettings": {{"Ports": {{"80/tcp": [{{"HostIp": "0.0.0.0", "HostPort": "8080"}}]}},
                    "Networks": {{"bridge": {{"IPAddress": "172.17.0.4"}}}}}}}}"#
        )
    };
    let all: Vec<_> = (0..count).map(container).collect();
    let settings = ContainerSettings::new("dev", "here", 30);
    once::read(format!("[{}]", all.join(",")).as_bytes(), &settings).expect("it is JSON")
}

fn run(trial: &Trial, containers: &[Found]) -> usize {
    let services = containers.iter().map(|container| {
        let built_in = container.built_in.clone().expect("it runs and has an address");
        let made = trial.run(&container.seen, built_in);
        assert!(made.failed.is_empty(), "{:?}", made.failed);
        made.services.len()
    });
    services.sum()
}

fn plugins(c: &mut Criterion) {
    let sets = [
        ("default", &["default.js"][..]),
        ("registrator", &["registrator.js"]),
        ("three", &["dnsdock.js", "traefik.js", "default.js"]),
    ];
    for (name, files) in sets {
        let trial = trial(files);
        let one = containers(1);
        c.bench_function(&format!("plugins/{name}/one"), |b| b.iter(|| run(&trial, &one)));
    }
    let (trial, thousand) = (trial(&["default.js"]), containers(1_000));
    let mut group = c.benchmark_group("plugins/default");
    group.sample_size(10);
    group.bench_function("1000", |b| b.iter(|| run(&trial, &thousand)));
}

criterion_group!(benches, plugins);
criterion_main!(benches);
