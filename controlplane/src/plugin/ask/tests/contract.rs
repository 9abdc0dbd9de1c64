//! The contract of 2014.

use std::net::IpAddr;

use super::*;

#[test]
fn a_plugin_of_2014_runs_unchanged() {
    let source = r#"
        // Undeclared variables, and helpers that are used in the function alone.
        function createService(container) {
            port = 80;
            for (var key in container.NetworkSettings.Ports) {
                if (container.NetworkSettings.Ports[key] && container.NetworkSettings.Ports[key].length) {
                    port = key.split("/")[0];
                }
            }
            return {
                Port: port,
                Environment: defaultEnvironment,
                TTL: defaultTTL,
                Service: cleanImageName(container.Image),
                Instance: removeSlash(container.Name),
                Host: container.NetworkSettings.IpAddress
            };
        }"#;
    let service = one(source);
    assert_eq!(words(&service), ["redis", "redis1", "dev", "here"]);
    assert_eq!((service.ttl_seconds, &*service.host()), (30, "172.17.0.4"));
    assert_eq!(service.wishes.as_ref().unwrap().port, Some(8080));
    // Its own address leaves it the others, for clients on those networks.
    assert_eq!(service.addresses, built_in().addresses);
}

#[test]
fn members_convert_as_they_did() {
    let service = returned("{Service: 12, Instance: true, Environment: 1.5, Port: '8080', TTL: '7.9'}");
    assert_eq!(words(&service), ["12", "true", "1.5", "here"]);
    assert_eq!(service.ttl_seconds, 7);
    assert_eq!(service.wishes.unwrap().port, Some(8080));
    let service = returned("{Port: 80.9, Service: new String('boxed'), TTL: 4294967295}");
    assert_eq!((&*service.service, service.ttl_seconds), ("boxed", 604_800));
    assert_eq!(service.wishes.unwrap().port, Some(80));
    assert_eq!(
        *returned("{Service: {toString: function () { return 'own'; }}}").service,
        *"own"
    );
}

#[test]
fn a_member_that_is_missing_leaves_what_is_there_without_a_plugin() {
    for expression in [
        "{}",
        "{Service: undefined, Instance: null, Environment: '', Region: ' ', Host: '', Port: undefined, TTL: null}",
        "Object.create(null)",
    ] {
        assert_eq!(returned(expression), built_in(), "{expression}");
    }
}

#[test]
fn a_service_word_that_a_plugin_gave_was_asked_for() {
    assert!(returned("{Service: 'redis'}").is_service_asked);
    assert!(!returned("{Instance: 'redis'}").is_service_asked);
}

#[test]
fn the_helpers_stand_over_functions_of_their_name_and_convert_their_argument() {
    let source = "function removeSlash() { return 'mine'; }
        function createService(c) { return {Service: removeSlash('/a/b'), Instance: cleanImageName() + removeSlash(7)}; }";
    assert_eq!(words(&one(source))[..2], ["ab", "undefined7"]);
}

#[test]
fn the_helpers_are_there_while_the_file_is_read_too() {
    let source = "var where = defaultEnvironment + '-' + defaultTTL;
        function createService() { return {Environment: where}; }";
    assert_eq!(&*one(source).environment, "dev-30");
}

#[test]
fn a_host_chooses_among_its_addresses_or_gives_another_or_a_name() {
    let own = returned("{Host: '10.0.0.4'}");
    assert_eq!(
        *own.addresses,
        [on("back", "10.0.0.4"), on("bridge", "172.17.0.4")]
    );
    let other = returned("{Host: '192.0.2.7'}");
    assert_eq!(*other.addresses, ["192.0.2.7".parse::<IpAddr>().unwrap().into()]);
    assert_eq!(other.host(), "192.0.2.7");
    let alias = returned("{Host: 'db.example.com'}");
    assert_eq!(alias.alias(), Some(&name("db.example.com")));
    for bad in ["'0.0.0.0'", "'ff02::1'", "'a..b'", "'[object Object]'", "{}"] {
        refused(&format!("{{Host: {bad}}}"), "Host");
    }
}

#[test]
fn variables_of_old_files_that_have_the_names_of_new_functions_are_left_alone() {
    let source = "var names = ['a']; var filterContainer = false; function createService() { return {Service: names[0]}; }";
    assert_eq!(&*one(source).service, "a");
}
