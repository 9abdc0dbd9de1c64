//! Names outside our zones that nobody may have.

use dns::Name;

use super::is_wildcard_owner;

/// Last labels that mean something to every resolver, whoever is asked: RFC 6761 (`localhost`, `invalid`), RFC 7686
/// (`onion`), RFC 9476 (`alt`).
const SPECIAL: [&[u8]; 4] = [b"localhost", b"invalid", b"onion", b"alt"];

/// What to do instead where nobody may ask for `name`: it lies in none of `zones`, and would mean something else to
/// everybody here, or take all names below a top-level domain.
pub(crate) fn refused<'z>(name: &Name, zones: impl IntoIterator<Item = &'z Name>) -> Option<&'static str> {
    if zones.into_iter().any(|zone| name.is_within(zone)) {
        return None;
    }
    let last = name.labels().last();
    if last.is_some_and(|last| SPECIAL.contains(&last)) {
        return Some(
            "localhost, invalid, onion and alt are nobody's to take (RFC 6761, RFC 7686, RFC 9476); give a name such as \
             shop.example",
        );
    }
    (is_wildcard_owner(name) && name.labels().count() <= 2).then_some(
        "it would take every name there is, or all below a top-level domain; give at least two labels behind the *, as \
         in *.shop.example",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::name;

    #[test]
    fn special_names_and_whole_top_level_domains_are_refused_outside_our_zones() {
        let is_refused = |text: &str, zones: &[&str]| {
            let zones: Vec<Name> = zones.iter().copied().map(name).collect();
            refused(&name(text), &zones).is_some()
        };
        for text in [
            "localhost",
            "x.LOCALHOST",
            "a.invalid",
            "abc.onion",
            "x.y.alt",
            "*.a.localhost",
            "*",
            "*.com",
        ] {
            assert!(is_refused(text, &["docker"]), "{text}");
        }
        for text in [
            "com",
            "shop.example",
            "*.shop.example",
            "printer.local",
            "localhost.example",
            "alt.docker",
        ] {
            assert!(!is_refused(text, &["docker"]), "{text}");
        }
        assert!(!is_refused("*.docker", &["docker"]) && is_refused("*.docker", &[]));
        assert!(!is_refused("web.dev.localhost", &["docker", "dev.localhost"]));
    }
}
