//! Several files, and what they say on the console.

use super::*;
use crate::plugin::Level;

#[test]
fn of_several_files_the_first_that_says_something_decides() {
    let says =
        |file: &str, what: &str| script_called(file, &format!("function createService() {{ {what} }}"));
    let (silent, broken) = (says("/silent.js", ""), says("/broken.js", "throw 1;"));
    let (first, second) = (
        says("/first.js", "return {Service: 'first'};"),
        says("/second.js", "return {Service: 'second'};"),
    );
    let null = says("/null.js", "return null;");
    let decided = |scripts: &[&Script]| {
        let made = ask(
            scripts.iter().copied(),
            &redis().seen(&built_in().addresses),
            built_in(),
            &defaults(),
            |_| (),
        );
        let services: Vec<_> = made.services.iter().map(|it| it.service.to_string()).collect();
        (
            made.decided_by.map(|file| file.to_string()),
            services,
            made.failed.len(),
        )
    };
    let by = |file: &str, service: &str, failed| (Some(file.to_owned()), vec![service.to_owned()], failed);
    assert_eq!(decided(&[&silent, &first, &second]), by("/first.js", "first", 0));
    assert_eq!(decided(&[&broken, &second]), by("/second.js", "second", 1));
    assert_eq!(
        decided(&[&null, &second]),
        (Some("/null.js".to_owned()), vec![], 0)
    );
    assert_eq!(decided(&[&first, &broken]), by("/first.js", "first", 0));
    assert_eq!(decided(&[&silent, &broken]), (None, vec!["redis".to_owned()], 1));
    assert_eq!(decided(&[]), (None, vec!["redis".to_owned()], 0));
}

#[test]
fn each_file_adds_to_the_names_that_those_before_it_gave() {
    let adds = |name: &str| {
        script_called(
            &format!("/{name}.js"),
            &format!("function names(service) {{ return service.Names.concat('{name}.example'); }}"),
        )
    };
    let made = made_by(&[
        adds("a"),
        script("function createService() { return {Names: 'x.example'}; }"),
        adds("b"),
    ]);
    let names = &made.services[0].wishes.as_ref().unwrap().names;
    assert_eq!(names, &["x.example", "a.example", "b.example"].map(name));
}

#[test]
fn files_share_nothing() {
    let first = script_called(
        "/a.js",
        "leak = 1; Object.prototype.Service = 'leaked'; function createService() {}",
    );
    let second =
        script("function createService(c) { return {Instance: typeof leak, Region: '' + ({}).Service}; }");
    let made = made_by(&[first, second]);
    assert_eq!(
        words(&made.services[0]),
        ["redis", "undefined", "dev", "undefined"]
    );
}

#[test]
fn what_a_script_says_is_kept_with_its_level_and_cut_off_where_it_never_ends() {
    let made = made(
        "function createService() {
            console.log('a', 1, {b: [true]}, undefined, null);
            console.warn('line\\nbreak \\u001b[31m');
            console.error(new TypeError('bad'));
            var cycle = {}; cycle.self = cycle; console.debug(cycle, Symbol('s'));
            console.info('x'.repeat(1e6));
        }",
    );
    assert_eq!(made.failed, []);
    let said: Vec<_> = made
        .said
        .iter()
        .map(|(_, said)| (said.level, said.text.as_str()))
        .collect();
    assert_eq!(said[0], (Level::Info, "a 1 {\"b\":[true]} undefined null"));
    assert_eq!(said[1], (Level::Warn, "line\\nbreak \\u{1b}[31m"));
    assert_eq!(said[2], (Level::Error, "TypeError: bad"));
    assert_eq!(said[3].0, Level::Debug);
    assert_eq!(said[4].1.len(), 1003);

    let flood = self::made("function createService() { for (var i = 0; i < 1000; i++) console.log(i); }");
    let last = &flood.said.last().unwrap().1;
    assert_eq!(
        (flood.said.len(), last.text.as_str()),
        (33, "968 more lines are left out")
    );
}
