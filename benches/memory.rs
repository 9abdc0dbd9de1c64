//! Memory for each service: what the builder and a snapshot of it hold, counted at the allocator, so the same on every
//! machine.

mod fixture;

use std::io::Write;

use allocation_counter::measure;

fn main() {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "services  builder and snapshot  most while compiling   (octets for each service)"
    );
    for services in [1_000_u32, 10_000, 100_000] {
        let mut held = None;
        let info = measure(|| {
            let mut builder = fixture::zone(services);
            let snapshot = builder.build();
            held = Some((builder, snapshot));
        });
        let [kept, most] =
            [info.bytes_current, info.bytes_max as i64].map(|octets| octets / i64::from(services));
        let _ = writeln!(out, "{services:>8}  {kept:>20}  {most:>20}");
        drop(held);
    }
}
