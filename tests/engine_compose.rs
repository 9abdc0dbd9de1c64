//! Containers as `docker compose` makes, scales, replaces and removes them: its labels, names, networks and order of steps.

mod support;

use std::sync::Arc;

use support::container::{Container, Network};
use support::daemon::Daemon;
use support::engine::{self, Engine};
use support::unique;

/// A project, as `docker compose up` begins it: with a network of its own.
struct Project {
    engine: Arc<Engine>,
    name: String,
    image: String,
    network: String,
    _network: Network,
}

impl Project {
    fn up(engine: &Arc<Engine>, stem: &str, image: &str) -> Option<Self> {
        let name = unique(stem);
        let network = format!("{name}_default");
        let labels = [
            format!("com.docker.compose.project={name}"),
            "com.docker.compose.network=default".to_owned(),
            "com.docker.compose.version=2.24.5".to_owned(),
        ];
        let arguments: Vec<&str> = labels.iter().flat_map(|it| ["--label", it.as_str()]).collect();
        let made = Network::make_with(engine, &network, &arguments)?;
        Some(Self {
            engine: Arc::clone(engine),
            name,
            image: image.to_owned(),
            network,
            _network: made,
        })
    }

    /// One of a service's containers, under this name, or as `docker compose run` starts one.
    fn run_as(&self, name: &str, service: &str, number: u32, is_one_off: bool) -> Container {
        let one_off = if is_one_off { "True" } else { "False" };
        let labels = [
            ("config-hash", "7c1b0d3f5a".to_owned()),
            ("container-number", number.to_string()),
            ("depends_on", String::new()),
            ("image", "sha256:3aa1c901cb4f".to_owned()),
            ("oneoff", one_off.to_owned()),
            ("project", self.name.clone()),
            ("project.config_files", "/srv/compose.yaml".to_owned()),
            ("project.working_dir", "/srv".to_owned()),
            ("service", service.to_owned()),
            ("version", "2.24.5".to_owned()),
        ];
        let labels = labels.map(|(label, value)| format!("--label=com.docker.compose.{label}={value}"));
        let alias = format!("--network-alias={service}");
        let mut arguments = vec!["--network", self.network.as_str(), alias.as_str()];
        arguments.extend(labels.iter().map(String::as_str));
        Container::run_image(&self.engine, name, &self.image, &arguments)
    }

    fn run(&self, service: &str, number: u32) -> Container {
        self.run_as(
            &format!("{}-{service}-{number}", self.name),
            service,
            number,
            false,
        )
    }

    fn address(&self, container: &Container) -> String {
        container.address_on(&self.network).to_string()
    }
}

#[test]
fn a_project_is_found_while_it_is_scaled_replaced_and_taken_down_and_keeps_apart_from_another() {
    let Some(engine) = engine::shared() else { return };
    let daemon = Daemon::for_engine(&engine, "");
    let image = unique("built");
    engine.tag(&image);
    let (Some(shop), Some(blog)) = (
        Project::up(&engine, "shop", &image),
        Project::up(&engine, "blog", &image),
    ) else {
        return;
    };
    let service = unique("web");
    let ask = |name: &str| format!("{name}.docker A");
    let in_shop = ask(&format!("{service}.{}", shop.name));
    let in_blog = ask(&format!("{service}.{}", blog.name));
    let number = |number: u32| ask(&format!("{number}.{service}.{}", shop.name));

    let (first, second) = (shop.run(&service, 1), shop.run(&service, 2));
    let [one, two] = [&first, &second].map(|it| shop.address(it));
    daemon.await_answers(&in_shop, &[&one, &two]);
    daemon.await_answers(&ask(&service), &[&one, &two]);
    daemon.await_answers(&number(2), &[&two]);

    // `--scale web=3`, and `docker compose run web`, which is no replica.
    let third = shop.run(&service, 3);
    let three = shop.address(&third);
    daemon.await_answers(&in_shop, &[&one, &two, &three]);
    let one_off = shop.run_as(&format!("{}-{service}-run-1a2b3c", shop.name), &service, 1, true);
    daemon.await_answers(&ask(one_off.name()), &[&shop.address(&one_off)]);
    daemon.await_answers(&in_shop, &[&one, &two, &three]);
    daemon.await_answers(&number(1), &[&one]);
    drop(one_off);

    // The other project's service of the same name is another's.
    let other = blog.run(&service, 1);
    let four = blog.address(&other);
    daemon.await_answers(&in_blog, &[&four]);
    daemon.await_answers(&in_shop, &[&one, &two, &three]);
    daemon.await_status(&ask(&service), "NXDOMAIN");
    let in_environment = ask(&format!("{service}.dev"));
    daemon.await_status(&in_environment, "NOERROR");
    let (_, why) = daemon.get(&format!("/v1/explain?name={service}.dev.docker"));
    assert!(why.contains("ask for <service>.<project>"), "{why}");
    let one_of_them = ask(&format!("{}.{service}.dev", other.name()));
    daemon.await_answers(&one_of_them, &[&four]);

    // A changed service: the old container is renamed, the new one made, then the old one stopped and removed.
    let mut old = first;
    let name = old.name().to_owned();
    old.rename(&format!("{:.12}_{name}", old.uuid()));
    old.docker("stop");
    let new = shop.run(&service, 1);
    drop(old);
    let one = shop.address(&new);
    daemon.await_answers(&in_shop, &[&one, &two, &three]);
    daemon.await_answers(&ask(&name), &[&one]);
    daemon.await_answers(&number(1), &[&one]);

    // `--scale web=1`, and then `down`.
    drop((second, third));
    daemon.await_answers(&in_shop, &[&one]);
    daemon.await_status(&number(3), "NXDOMAIN");
    drop(new);
    daemon.await_status(&in_shop, "NXDOMAIN");
    // Who is alone again has the names.
    daemon.await_answers(&ask(&service), &[&four]);
    daemon.await_answers(&in_environment, &[&four]);
}
