//! A plugin file, read and found to be one.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::fault::{Fault, PluginError};
use super::helpers::Defaults;
use super::limits::FILE_OCTETS_MAX;
use super::run::{Run, function};

/// A file that defines at least one of the functions that plugins have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The file, as it was given.
    pub(super) file: Arc<str>,
    /// What stands in it.
    pub(super) source: Arc<str>,
    /// `createService(container)`.
    pub(super) creates: bool,
    /// `filterContainer(container)`.
    pub(super) filters: bool,
    /// `names(service, container)`.
    pub(super) names: bool,
}

impl Script {
    /// Reads a file and evaluates it once, to see that it is a plugin.
    ///
    /// # Errors
    ///
    /// [`PluginError`]: it cannot be read, is no JavaScript, throws when it is evaluated, or has none of the functions.
    pub(super) fn load(path: &Path, defaults: &Defaults) -> Result<Self, PluginError> {
        let file: Arc<str> = path.to_string_lossy().into();
        let source = read(path).map_err(|fault| PluginError {
            file: file.clone(),
            place: None,
            container: None,
            fault,
        })?;
        Self::of(file, source.into(), defaults)
    }

    /// As [`Script::load`], of a text that was read.
    pub(super) fn of(file: Arc<str>, source: Arc<str>, defaults: &Defaults) -> Result<Self, PluginError> {
        let mut script = Self {
            file,
            source,
            creates: false,
            filters: false,
            names: false,
        };
        let found = Run::start(&script, defaults).and_then(|run| {
            run.with(|ctx| {
                let has = |name| function(ctx, name).map(|function| function.is_some());
                Ok([has("createService")?, has("filterContainer")?, has("names")?])
            })
        });
        match found {
            Ok([false, false, false]) => {
                let text = "it has no function createService(container), filterContainer(container) or names(service)";
                Err(script.failed((Fault::Answer(text.to_owned()), None), None))
            }
            Ok([creates, filters, names]) => {
                (script.creates, script.filters, script.names) = (creates, filters, names);
                Ok(script)
            }
            Err(failed) => Err(script.failed(failed, None)),
        }
    }

    /// The error of a run of this plugin.
    pub(super) fn failed(
        &self,
        (fault, place): super::run::Failed,
        container: Option<Arc<str>>,
    ) -> PluginError {
        PluginError {
            file: self.file.clone(),
            place,
            container,
            fault,
        }
    }
}

fn read(path: &Path) -> Result<String, Fault> {
    let because = |error: std::io::Error| Fault::File(format!("it cannot be read: {error}"));
    let file = File::open(path).map_err(because)?;
    // A pipe or a device has no end that one could wait for.
    if !file.metadata().map_err(because)?.is_file() {
        return Err(Fault::File("it is no regular file".to_owned()));
    }
    let mut octets = Vec::new();
    file.take(FILE_OCTETS_MAX + 1)
        .read_to_end(&mut octets)
        .map_err(because)?;
    if u64::try_from(octets.len()).is_ok_and(|octets| octets > FILE_OCTETS_MAX) {
        return Err(Fault::File(format!("it has more than {FILE_OCTETS_MAX} octets")));
    }
    let text = String::from_utf8(octets).map_err(|_| Fault::File("it is no UTF-8 text".to_owned()))?;
    if text.contains('\0') {
        return Err(Fault::File("it holds a zero octet, so it is no text".to_owned()));
    }
    // What some editors put in front of a text.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
