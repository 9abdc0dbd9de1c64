//! What an image is called.

/// Image name without registry, repository, tag and digest, in the case it was given; `None` when nothing is left
/// or when the reference is an image id. `image_id` is the full hex id: a reference that starts it is an id too.
pub(crate) fn image_name<'a>(reference: &'a str, image_id: &str) -> Option<&'a str> {
    let tagged = reference.split('@').next()?;
    let last = tagged.rsplit('/').next()?;
    let name = last.split(':').next()?;
    let is_digest = tagged.starts_with("sha256:");
    // Docker takes any unambiguous start of an id; one that is shorter than its short id is more likely a name.
    let is_id_prefix = name.len() >= 12 && image_id.starts_with(name);
    (!name.is_empty() && !is_digest && !is_id_prefix).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_last_path_segment_without_tag_and_digest() {
        let id = "72297848456d5d37d1262630108ab308d3e9ec7ed1c3286a32fe09856619a782";
        let full = format!("sha256:{id}");
        for (reference, expected) in [
            ("redis", Some("redis")),
            ("redis:latest", Some("redis")),
            ("crosbymichael/redis:latest", Some("redis")),
            ("registry:5000/crosbymichael/redis", Some("redis")),
            ("registry:5000/crosbymichael/redis:2.8", Some("redis")),
            ("ghcr.io/o/team/App:1", Some("App")),
            ("redis@sha256:ab12", Some("redis")),
            ("repo/redis:7@sha256:ab12", Some("redis")),
            ("registry:5000/repo/redis:7@sha256:ab12", Some("redis")),
            ("my.app:1", Some("my.app")),
            ("sha256:ab12", None),
            (&full, None),
            (id, None),
            ("72297848456d", None),
            ("7229", Some("7229")),
            ("a/b/", None),
            ("", None),
            (":tag", None),
            ("@", None),
        ] {
            assert_eq!(image_name(reference, id), expected, "{reference}");
        }
    }
}
