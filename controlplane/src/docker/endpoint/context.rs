//! The Docker client's contexts: engines that have names, one of which is in use.
//!
//! ```text
//!  ~/.docker/config.json                     {"currentContext": "far"}
//!  ~/.docker/contexts/meta/DIGEST/meta.json  {"Name": "far", "Endpoints": {"docker": {"Host": "tcp://..."}}}
//!  ~/.docker/contexts/tls/DIGEST/docker/     ca.pem, cert.pem, key.pem
//! ```
//!
//! DIGEST is the name's, but the name stands in the file, too, and that is what is looked for.

use std::path::PathBuf;

use super::{EndpointError, Surroundings};

/// The context that stands for having none.
const DEFAULT: &str = "default";
/// Any of these makes the client speak TLS.
const CERTIFICATES: [&str; 3] = ["ca.pem", "cert.pem", "key.pem"];

/// A context's engine.
pub(super) struct Context {
    /// For messages.
    pub(super) called: String,
    /// As `--docker` takes it.
    pub(super) host: String,
    /// Directory of its certificates, if it has any.
    pub(super) certificates: Option<PathBuf>,
}

/// What is read of `config.json`.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    current_context: String,
}

/// What is read of a `meta.json`.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Meta {
    name: String,
    endpoints: Endpoints,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Endpoints {
    docker: Engine,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Engine {
    #[serde(rename = "Host")]
    host: String,
    #[serde(rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// Where the Docker client keeps what is its user's: `DOCKER_CONFIG`, else `~/.docker`.
pub(super) fn configuration(around: &impl Surroundings) -> Option<PathBuf> {
    let variable = |name: &str| around.variable(name).filter(|value| !value.trim().is_empty());
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".docker"));
    variable("DOCKER_CONFIG").map(PathBuf::from).or_else(home)
}

/// The context in use: that of `DOCKER_CONTEXT`, else that of `config.json`. None if that is the default one, or one that
/// names no engine. A `config.json` that cannot be read counts as absent, as it does for the client.
pub(super) fn current(around: &impl Surroundings) -> Result<Option<Context>, EndpointError> {
    let directory = configuration(around);
    let variable = around
        .variable("DOCKER_CONTEXT")
        .filter(|name| !name.trim().is_empty());
    let (from, name) = match (variable, &directory) {
        (Some(name), _) => ("DOCKER_CONTEXT".to_owned(), name),
        (None, None) => return Ok(None),
        (None, Some(directory)) => {
            let file = directory.join("config.json");
            let config: Config = around
                .read(&file)
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default();
            (file.display().to_string(), config.current_context)
        }
    };
    if name.is_empty() || name == DEFAULT {
        return Ok(None);
    }
    let no_context = || EndpointError::NoContext {
        from,
        name: name.clone(),
    };
    let Some(directory) = directory else {
        return Err(no_context());
    };
    let places = around.list(&directory.join("contexts/meta"));
    let metas = places.into_iter().filter_map(|place| {
        let meta: Meta = serde_json::from_str(&around.read(&place.join("meta.json"))?).ok()?;
        Some((place, meta))
    });
    let (place, meta) = metas
        .into_iter()
        .find(|(_, meta)| meta.name == name)
        .ok_or_else(no_context)?;
    let engine = meta.endpoints.docker;
    let called = format!("the Docker context {name:?}");
    if engine.skip_tls_verify {
        return Err(EndpointError::Unverified { from: called });
    }
    let certificates = place
        .file_name()
        .map(|digest| directory.join("contexts/tls").join(digest).join("docker"))
        .filter(|place| CERTIFICATES.iter().any(|file| around.exists(&place.join(file))));
    Ok((!engine.host.trim().is_empty()).then_some(Context {
        called,
        host: engine.host,
        certificates,
    }))
}
