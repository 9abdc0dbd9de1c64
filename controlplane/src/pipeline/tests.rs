use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use dns::Reader;

use super::looks::PAGE_LOOKED_AT_MAX;
use super::*;
use crate::compile::Compiler;
use crate::docker::{ContainerSettings, Endpoint, ThisHost, Watch};
use crate::fixture::{addresses, builder, id, name, service};
use crate::naming::Naming;
use crate::service::{Service, ServiceId};

/// A pipeline that waits for the engines `/e` and so on, its reader and its status.
fn pipeline(engines: &[&str]) -> (Pipeline, Reader, watch::Receiver<Status>) {
    let settings = ContainerSettings::new("dev", "here", 30);
    let watches: Vec<_> = engines
        .iter()
        .map(|path| Watch::new(Endpoint::find(Some(path), &ThisHost).unwrap(), settings.clone()))
        .collect();
    let mut builder = builder(&["docker"]);
    let (publisher, reader) = dns::channel(builder.build());
    let (status, watched) = watch::channel(Status::of(&watches));
    let compiler = Compiler::new(Naming::new(vec![name("docker")]), builder);
    (
        Pipeline::new(compiler, publisher, status, Metrics::new(), Feed::new()),
        reader,
        watched,
    )
}

fn nobody_looks() -> mpsc::Receiver<Look> {
    mpsc::channel(1).1
}

fn with(instance: &str, address: &str) -> Service {
    Service {
        addresses: vec![address.parse::<IpAddr>().unwrap().into()].into(),
        ..service("unix:///e", instance)
    }
}

fn reset(engine: &str, services: Vec<Service>) -> Change {
    Change::Reset {
        source: Source::Engine(engine.into()),
        services: services.into_iter().map(Arc::new).collect(),
    }
}

/// What is logged while `work` runs, one line each, without the level.
fn logged(work: impl FnOnce()) -> Vec<String> {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Lines {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let octets = lines.0.lock().unwrap().clone();
    String::from_utf8(octets)
        .unwrap()
        .lines()
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn a_container_comes_is_renamed_and_goes_a_line_each() {
    let (mut pipeline, mut reader, _) = pipeline(&["/e"]);
    let lines = logged(|| {
        pipeline.step([Change::Put(with("redis1", "172.17.0.4").into())].into_iter());
        assert_eq!(addresses(reader.load(), "redis1.web.dev.docker"), "172.17.0.4");
        let mut renamed = with("redis1", "172.17.0.4");
        renamed.instance = "redis2".into();
        pipeline.step([Change::Put(renamed.clone().into())].into_iter());
        pipeline.step([Change::Put(renamed.into())].into_iter());
        assert_eq!(addresses(reader.load(), "redis1.web.dev.docker"), "nxdomain");
        pipeline.step([Change::Remove(id("unix:///e", "redis1"))].into_iter());
        assert_eq!(addresses(reader.load(), "redis2.web.dev.docker"), "nxdomain");
    });
    assert_eq!(
        lines,
        [
            "INFO + redis1.web.dev.docker -> 172.17.0.4",
            "INFO - redis1.web.dev.docker",
            "INFO + redis2.web.dev.docker -> 172.17.0.4",
            "INFO - redis2.web.dev.docker",
        ]
    );
}

#[test]
fn a_name_that_was_asked_for_comes_goes_and_is_given_up_a_line_each() {
    let (mut pipeline, mut reader, _) = pipeline(&["/e"]);
    let carried = |names: &[&str]| Change::Carried {
        source: Source::Engine("unix:///e".into()),
        carriers: vec![("id-of-web1".into(), names.iter().copied().map(name).collect())],
    };
    let web = Service {
        wishes: Some(Box::new(crate::service::Wishes {
            names: vec![name("shop.example")],
            ..Default::default()
        })),
        ..with("web1", "172.17.0.4")
    };
    let lines = logged(|| {
        pipeline.step([carried(&["shop.example"])].into_iter());
        assert_eq!(addresses(reader.load(), "shop.example"), "nodata");
        pipeline.step([Change::Put(web.into())].into_iter());
        assert_eq!(addresses(reader.load(), "shop.example"), "172.17.0.4");
        pipeline.step([Change::Remove(id("unix:///e", "web1"))].into_iter());
        assert_eq!(addresses(reader.load(), "shop.example"), "nodata");
        pipeline.step([carried(&[])].into_iter());
        assert_eq!(addresses(reader.load(), "shop.example"), "not ours");
    });
    assert_eq!(
        lines,
        [
            "INFO + shop.example, without an address: none of its containers runs",
            "INFO + web1.web.dev.docker -> 172.17.0.4",
            "INFO + shop.example -> 172.17.0.4 (web1.web.dev.docker)",
            "INFO - web1.web.dev.docker",
            "INFO - shop.example (web1.web.dev.docker)",
            "INFO - shop.example, which is no longer ours: its containers are gone",
        ]
    );
}

#[test]
fn a_burst_is_one_publication_and_a_repetition_none() {
    let (mut pipeline, mut reader, _) = pipeline(&["/e"]);
    let burst: Vec<_> = (0..1000)
        .map(|n| service("unix:///e", &format!("web{n}")))
        .collect();
    pipeline.step(burst.iter().cloned().map(|service| Change::Put(service.into())));
    assert_eq!((reader.load().serial(), reader.load().endpoints()), (2, 1000));
    pipeline.step([reset("unix:///e", burst)].into_iter());
    assert_eq!(reader.load().serial(), 2);
}

#[test]
fn what_went_and_came_again_before_anybody_looked_only_looks_different() {
    let (mut pipeline, mut reader, _) = pipeline(&["/e"]);
    let put = |service: Service| Change::Put(service.into());
    let gone = || Change::Remove(service("unix:///e", "a").id);
    let burst = [with("a", "10.0.0.1"), with("b", "10.0.0.9")].map(put);
    pipeline.step(burst.into_iter());
    let lines = logged(|| {
        pipeline.step([gone(), put(with("a", "10.0.0.1"))].into_iter());
        pipeline.step(
            [
                put(with("c", "10.0.0.3")),
                Change::Remove(service("unix:///e", "c").id),
            ]
            .into_iter(),
        );
    });
    assert_eq!(lines, [""; 0]);
    assert_eq!(reader.load().serial(), 2, "nothing was published for it");
    let lines = logged(|| {
        pipeline.step([gone(), put(with("a", "10.0.0.2"))].into_iter());
    });
    assert_eq!(
        lines,
        ["INFO - a.web.dev.docker", "INFO + a.web.dev.docker -> 10.0.0.2"]
    );
    assert_eq!(addresses(reader.load(), "a.web.dev.docker"), "10.0.0.2");
    assert_eq!(addresses(reader.load(), "web.dev.docker"), "10.0.0.2 10.0.0.9");
    assert_eq!(reader.load().endpoints(), 2);
}

#[test]
fn a_changed_word_is_told_once_and_a_service_that_cannot_be_named_each_time() {
    let (mut pipeline, mut reader, _) = pipeline(&["/e"]);
    let dotted = |instance: &str| Service {
        region: "my.host".into(),
        ..service("unix:///e", instance)
    };
    let bad = |ttl_seconds| Service {
        environment: "".into(),
        ttl_seconds,
        ..service("unix:///e", "bad")
    };
    let lines = logged(|| {
        let bursts = [[dotted("a"), bad(1), bad(1)], [dotted("b"), bad(2), bad(2)]];
        for burst in bursts {
            pipeline.step(burst.into_iter().map(|service| Change::Put(service.into())));
        }
    });
    let told = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
    assert_eq!(
        (
            told("\"my-host\""),
            told("WARN \"bad\" (id-of-bad) gets no names")
        ),
        (1, 2),
        "{lines:?}"
    );
    assert_eq!(reader.load().endpoints(), 2);
}

#[test]
fn a_log_line_cannot_be_forged_by_a_container() {
    let (mut pipeline, _, _) = pipeline(&["/e"]);
    let lines = logged(|| {
        let mut evil = with("a", "10.0.0.1");
        evil.instance = "a\nINFO + forged.docker -> 10.0.0.2\u{1b}[2J".into();
        pipeline.step([Change::Put(evil.into())].into_iter());
    });
    assert!(
        lines
            .iter()
            .all(|line| !line.starts_with("INFO + forged") && !line.contains('\u{1b}')),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_complete_once_every_engine_was_heard_and_what_it_said_is_served() {
    let (pipeline, mut reader, mut status) = pipeline(&["/e", "/f"]);
    assert_eq!(
        status.borrow().missing(),
        ["engine unix:///e: connecting", "engine unix:///f: connecting"]
    );
    let (changes, queue) = mpsc::channel(CHANGES_QUEUED_MAX);
    let stop = CancellationToken::new();
    let running = tokio::spawn(pipeline.run(queue, nobody_looks(), stop.clone()));

    changes
        .send(reset("unix:///e", vec![with("web1", "10.0.0.1")]))
        .await
        .unwrap();
    status
        .wait_for(|status| status.published.services == 1)
        .await
        .unwrap();
    assert_eq!(status.borrow().missing(), ["engine unix:///f: connecting"]);
    assert_eq!(
        status.borrow().published.sample,
        Some(name("web1.web.dev.docker"))
    );
    assert_eq!(addresses(reader.load(), "web1.docker"), "10.0.0.1");

    // An engine without containers was heard, too.
    changes.send(reset("unix:///f", vec![])).await.unwrap();
    status.wait_for(|status| status.is_complete).await.unwrap();
    let published = status.borrow().published.clone();
    assert_eq!(
        (published.serial, published.names),
        (reader.load().serial(), reader.load().names())
    );
    assert_eq!(status.borrow().missing(), Vec::<String>::new());

    stop.cancel();
    running.await.unwrap();
    assert!(
        changes.send(reset("unix:///e", vec![])).await.is_err(),
        "a source sees that nobody listens"
    );
}

#[tokio::test(start_paused = true)]
async fn without_engines_it_is_complete_at_once() {
    let (pipeline, mut reader, mut status) = pipeline(&[]);
    assert!(!status.borrow().is_complete);
    let (_changes, queue) = mpsc::channel(1);
    tokio::spawn(pipeline.run(queue, nobody_looks(), CancellationToken::new()));
    status.wait_for(|status| status.is_complete).await.unwrap();
    assert_eq!(status.borrow().published.serial, reader.load().serial());
}

// The clock stands still for as long as somebody has something to do: all of them come within one pause.
#[tokio::test(start_paused = true)]
async fn changes_that_come_one_by_one_are_few_publications_and_the_first_does_not_wait() {
    let (pipeline, mut reader, _) = pipeline(&["/e"]);
    let (changes, queue) = mpsc::channel(CHANGES_QUEUED_MAX);
    tokio::spawn(pipeline.run(queue, nobody_looks(), CancellationToken::new()));
    yield_now().await;
    for number in 0..CHANGES_QUEUED_MAX {
        let one = service("unix:///e", &format!("web{number}"));
        changes.send(Change::Put(one.into())).await.unwrap();
        yield_now().await;
        if number == 0 {
            assert_eq!((reader.load().serial(), reader.load().endpoints()), (2, 1));
        }
    }
    sleep(REST_MAX * 2).await;
    assert_eq!(
        (reader.load().serial(), reader.load().endpoints()),
        (3, CHANGES_QUEUED_MAX)
    );
}

#[tokio::test(start_paused = true)]
async fn names_that_very_many_share_come_a_little_later_while_much_changes() {
    let (pipeline, mut reader, _) = pipeline(&["/e"]);
    let (changes, queue) = mpsc::channel(CHANGES_QUEUED_MAX);
    tokio::spawn(pipeline.run(queue, nobody_looks(), CancellationToken::new()));
    for number in 0..200 {
        let one = with(&format!("n{number}"), &format!("10.0.1.{number}"));
        changes.send(Change::Put(one.into())).await.unwrap();
    }
    sleep(REST_MAX).await;
    let seven = id("unix:///e", "n7");
    changes.send(Change::Remove(seven)).await.unwrap();
    sleep(REST_MAX).await;
    let is_shared = |reader: &mut Reader| {
        addresses(reader.load(), "dev.docker")
            .split(' ')
            .any(|it| it == "10.0.1.7")
    };
    assert_eq!(addresses(reader.load(), "n7.docker"), "nxdomain");
    assert!(is_shared(&mut reader));
    sleep(CROWDS_EVERY).await;
    assert!(!is_shared(&mut reader));
    sleep(CROWDS_EVERY).await;
    let serial = reader.load().serial();

    // One that comes alone waits for nothing.
    changes
        .send(Change::Put(with("n7", "10.0.1.7").into()))
        .await
        .unwrap();
    sleep(REST_MAX).await;
    assert!(is_shared(&mut reader));
    sleep(CROWDS_EVERY).await;
    assert_eq!(reader.load().serial(), serial + 1, "nothing was left");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_what_it_told_and_who_tells_all_are_served_names_of_very_many_at_once() {
    let (pipeline, mut reader, _) = pipeline(&["/e"]);
    let (changes, queue) = mpsc::channel(CHANGES_QUEUED_MAX);
    tokio::spawn(pipeline.run(queue, nobody_looks(), CancellationToken::new()));
    let all = |last: u8| {
        (0..=last)
            .map(|number| with(&format!("n{number}"), &format!("10.0.1.{number}")))
            .collect()
    };
    changes.send(reset("unix:///e", all(200))).await.unwrap();
    sleep(REST_MAX).await;
    let mut is_shared = |address: &str| {
        addresses(reader.load(), "dev.docker")
            .split(' ')
            .any(|it| it == address)
    };

    let engines = with("n201", "10.0.1.201");
    changes.send(Change::Put(engines.into())).await.unwrap();
    sleep(REST_MAX).await;
    let (mark, mut seen) = Mark::new();
    changes.send(Change::Mark(mark)).await.unwrap();
    seen.wait_for(|is_served| *is_served).await.unwrap();
    assert!(!is_shared("10.0.1.201"), "nobody waits for that");

    let asked = tokio::time::Instant::now();
    let rest = Service {
        id: ServiceId {
            source: Source::Rest,
            ..id("rest", "n202")
        },
        ..with("n202", "10.0.1.202")
    };
    let (mark, mut seen) = Mark::new();
    changes.send(Change::Put(rest.into())).await.unwrap();
    changes.send(Change::Mark(mark)).await.unwrap();
    seen.wait_for(|is_served| *is_served).await.unwrap();
    assert!(is_shared("10.0.1.202"));
    assert!(asked.elapsed() <= REST_MAX);

    sleep(REST_MAX).await;
    changes.send(reset("unix:///e", all(203))).await.unwrap();
    sleep(REST_MAX).await;
    assert!(is_shared("10.0.1.203"));
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_its_last_source() {
    let (pipeline, _, _) = pipeline(&["/e"]);
    let (changes, queue) = mpsc::channel(1);
    let running = tokio::spawn(pipeline.run(queue, nobody_looks(), CancellationToken::new()));
    drop(changes);
    running.await.unwrap();
}

#[test]
fn replaced_snapshots_are_counted_until_no_worker_holds_them() {
    let (mut pipeline, mut reader, _) = pipeline(&["/e"]);
    reader.load();
    pipeline.step([Change::Put(service("unix:///e", "a").into())].into_iter());
    assert_eq!(pipeline.retired, 1, "the reader has not looked since");
    reader.load();
    pipeline.step([Change::Put(service("unix:///e", "b").into())].into_iter());
    reader.load();
    pipeline.retired = pipeline.publisher.collect();
    assert_eq!(pipeline.retired, 0);
}

#[test]
fn a_page_of_few_among_very_many_is_short_and_says_where_to_go_on() {
    let mut registry = Registry::default();
    let count = 2 * PAGE_LOOKED_AT_MAX + 5;
    let services = (0..count).map(|number| with(&format!("{number:05}"), "10.0.0.7"));
    registry.apply(reset("unix:///e", services.collect()));
    let page = |after: Option<ServiceId>, limit: usize, takes: fn(&Service) -> bool| {
        let asked = PageAsked {
            after,
            limit,
            takes: Box::new(takes),
        };
        Page::of(&registry, &asked)
    };
    let pages = |limit: usize, takes: fn(&Service) -> bool| {
        let (mut sizes, mut after) = (vec![], None);
        loop {
            let page = page(after, limit, takes);
            sizes.push(page.services.len());
            match page.next {
                Some(next) => after = Some(next),
                None => return sizes,
            }
        }
    };
    assert_eq!(pages(1000, |_| false), [0, 0, 0]);
    assert_eq!(pages(1000, |service| &*service.instance == "20004"), [0, 0, 1]);
    assert_eq!(pages(5, |service| service.instance.ends_with("00000")), [1, 0, 0]);
    assert_eq!(pages(8000, |_| true), [8000, 8000, 4005]);
    // As many as there are: no page behind.
    assert_eq!(
        page(None, count, |service| &*service.instance < "00007")
            .services
            .len(),
        7
    );
    assert_eq!(pages(7, |service| &*service.instance < "00007"), [7, 0, 0]);
}
