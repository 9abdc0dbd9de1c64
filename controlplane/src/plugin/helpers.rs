//! The functions that skydock gave its plugins.

use rquickjs::function::Opt;
use rquickjs::{Coerced, Ctx, Function};

/// What `defaultTTL` and `defaultEnvironment` say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Seconds.
    pub ttl_seconds: u32,
    /// The environment label.
    pub environment: String,
}

/// Puts the four globals of 2014 in place, over whatever has their names.
pub(super) fn install(ctx: &Ctx<'_>, defaults: &Defaults) -> rquickjs::Result<()> {
    let globals = ctx.globals();
    globals.set("defaultTTL", defaults.ttl_seconds)?;
    globals.set("defaultEnvironment", defaults.environment.as_str())?;
    let clean = |text: Opt<Coerced<String>>| clean_image_name(&spelled(text)).to_owned();
    globals.set("cleanImageName", Function::new(ctx.clone(), clean)?)?;
    let remove = |text: Opt<Coerced<String>>| spelled(text).replace('/', "");
    globals.set("removeSlash", Function::new(ctx.clone(), remove)?)
}

/// An argument as JavaScript spells it, be it missing.
fn spelled(text: Opt<Coerced<String>>) -> String {
    text.0.map_or_else(|| "undefined".to_owned(), |text| text.0)
}

/// Image name without registry, repository and tag, in the case it was given.
///
/// As skydock had it, but for digests: of `redis@sha256:ab12` it left `redis@sha256`, which nobody wants to ask for.
fn clean_image_name(image: &str) -> &str {
    let tagged = image.split('@').next().unwrap_or_default();
    let last = tagged.rsplit('/').next().unwrap_or_default();
    last.rsplit_once(':').map_or(last, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_name_is_cleaned_as_skydock_did() {
        for (image, expected) in [
            ("redis", "redis"),
            ("redis:latest", "redis"),
            ("crosbymichael/redis:latest", "redis"),
            ("registry:5000/crosbymichael/redis", "redis"),
            ("registry:5000/crosbymichael/redis:2.8", "redis"),
            ("ghcr.io/o/team/App:1", "App"),
            ("sha256:ab12", "sha256"),
            ("a/b/", ""),
            ("", ""),
            // Not as skydock did.
            ("redis@sha256:ab12", "redis"),
            ("repo/redis:7@sha256:ab12", "redis"),
        ] {
            assert_eq!(clean_image_name(image), expected, "{image}");
        }
    }
}
