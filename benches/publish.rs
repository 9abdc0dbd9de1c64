//! The steps of an event's path that grow with the zone: compiling all of it, and one change of it.

mod fixture;

use self::fixture::containers::{Plane, list};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

/// Zones by their number of services. A million takes minutes and gigabytes, so it has to be asked for:
/// `SKYDOCK_BENCH_MILLION=1`.
fn sizes() -> Vec<u32> {
    let million = std::env::var_os("SKYDOCK_BENCH_MILLION").map(|_| 1_000_000);
    [1_000, 10_000, 100_000].into_iter().chain(million).collect()
}

/// A host's first list, from what was read of it to the snapshot: named, taken in and compiled, on all cores.
fn compile_all(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish/all");
    group.sample_size(10);
    for services in sizes() {
        group.bench_function(services.to_string(), |b| {
            b.iter_batched(|| list(services), Plane::of, BatchSize::LargeInput);
        });
    }
}

/// A container replaced: its names are set and everything is published again. Freeing the snapshot
/// before is the publisher's work, too, and is counted.
fn build_one_change(c: &mut Criterion) {
    for services in sizes() {
        let mut builder = fixture::zone(services);
        let (mut publisher, mut reader) = dns::channel(builder.build());
        let mut number = 0;
        c.bench_function(&format!("publish/one_change/{services}"), |b| {
            b.iter(|| {
                number = (number + 7_919) % services;
                fixture::replace(&mut builder, number);
                publisher.publish(builder.build());
                reader.load().serial()
            });
        });
    }
}

/// Containers replaced, from what the engine's inspect said to the snapshot that workers read: two together, as at a
/// thousand changes a second.
fn replace_containers(c: &mut Criterion) {
    for services in sizes() {
        let (mut plane, first) = Plane::of(list(services));
        let (mut publisher, mut reader) = dns::channel(first);
        let mut turn = 0;
        c.bench_function(&format!("publish/containers/{services}"), |b| {
            b.iter(|| {
                publisher.publish(plane.replace(turn));
                turn += 1;
                reader.load().serial()
            });
        });
    }
}

criterion_group!(benches, compile_all, build_one_change, replace_containers);
criterion_main!(benches);
