//! Lines of an engine's list made into what is held of their containers: plain work, done by whichever thread has read the
//! line.

use super::carried;
use super::listed::{Listed, Told};
use super::publish::{ContainerSettings, Context};
use super::wire;
use super::words::{SharedWords, Words};
use crate::service::{Services, Source};

use arcstr::ArcStr;

/// What lines are read by: the same for all of one list.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    pub(super) source: Source,
    pub(super) settings: ContainerSettings,
    /// Whether plugins say what runs here.
    pub(super) has_plugins: bool,
    /// Whether what they tell of a container counts, as on the first list of a connection: of others a container is
    /// inspected where its line is new.
    pub(super) is_first: bool,
    pub(super) words: SharedWords,
}

impl Lines {
    /// What a line tells; none without an id. `words` are some of ours.
    pub(super) fn read(&self, line: wire::Summary, words: &mut Words) -> Option<Listed> {
        let names = carried::of_labels(&line.labels, &self.settings.selection);
        let (mut listed, container) = Listed::from_summary(line)?;
        // What runs is called what its plugins say.
        if !self.has_plugins || !listed.is_alive() {
            listed.names = names;
        }
        // They are shown what only an inspect tells.
        if self.is_first && !self.has_plugins {
            let context = Context {
                source: &self.source,
                settings: &self.settings,
                // Who is reached there is not told of by the list.
                host: &[],
            };
            let told = container.map(|container| Told::of(container, None, context, words));
            listed.told = told.map(Box::new);
        }
        listed.image = words.shared(&listed.image);
        if let Some(told) = &listed.told {
            listed.name = shared_name(&listed.name, told.running.services.as_ref());
        }
        Some(listed)
    }
}

/// `name` as the container's service has it, where that is called so: held once.
pub(super) fn shared_name(name: &ArcStr, services: Option<&Services>) -> ArcStr {
    let instance = services.map(|it| &it.first().instance);
    instance.filter(|it| *it == name).unwrap_or(name).clone()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::fixture::source;

    pub(in crate::docker) fn lines(is_first: bool, has_plugins: bool) -> Lines {
        Lines {
            source: source("e"),
            settings: ContainerSettings::new("dev", "here", 30),
            has_plugins,
            is_first,
            words: SharedWords::default(),
        }
    }

    fn read(lines: &Lines, change: impl FnOnce(&mut serde_json::Value)) -> Listed {
        let mut line = serde_json::json!({
            "Id": "id-of-web1", "Names": ["/web1"], "State": "running", "Status": "Up 5 seconds", "Image": "web",
            "ImageID": "sha256:72297848456d5d37", "HostConfig": {"NetworkMode": "default"},
            "Labels": {"skydock.name": "shop.example"},
            "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}},
        });
        change(&mut line);
        let line = serde_json::from_value(line).unwrap();
        lines.read(line, &mut lines.words.some()).unwrap()
    }

    #[test]
    fn words_that_a_line_shares_with_its_service_and_with_other_lines_are_held_once() {
        let lines = lines(true, false);
        let [one, other] = [(); 2].map(|()| read(&lines, |_| {}));
        let service = |line: &Listed| {
            let told = line.told.as_ref().unwrap();
            told.running.services.clone().unwrap().first().clone()
        };
        assert!(ArcStr::ptr_eq(&one.id, &service(&one).id.id));
        assert!(ArcStr::ptr_eq(&one.name, &service(&one).instance));
        assert!(ArcStr::ptr_eq(&one.image, &other.image));
        assert!(ArcStr::ptr_eq(&service(&one).service, &service(&other).service));
    }

    #[test]
    fn only_the_first_list_tells_what_a_container_is_and_only_where_no_plugin_does() {
        let told = |is_first, has_plugins| {
            let line = read(&lines(is_first, has_plugins), |_| {});
            (line.told.is_some(), line.names.len())
        };
        assert_eq!(told(true, false), (true, 1));
        assert_eq!(told(false, false), (false, 1));
        assert_eq!(
            told(true, true),
            (false, 0),
            "what runs is called what its plugins say"
        );
        let stopped = read(&lines(true, true), |line| line["State"] = "exited".into());
        assert_eq!((stopped.told, stopped.names.len()), (None, 1));
    }
}
