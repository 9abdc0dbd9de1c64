//! Certificates and secrets that are renewed while we run.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{Access, Secret, Tls};
use crate::look::{Changes, LOOK_EVERY, Look};

/// The files that say who may ask and with what connections are encrypted, read again when they change. Clones are the
/// same ones.
#[derive(Clone, Debug)]
pub struct Renewal {
    tls: Option<Tls>,
    secret: Option<Secret>,
    hang_up: Arc<Notify>,
}

impl Renewal {
    /// The files of `access`; none if it is from none.
    #[must_use]
    pub fn of(access: &Access) -> Option<Self> {
        let renewal = Self {
            tls: access.tls.clone(),
            secret: access.secret.clone().filter(|secret| secret.file().is_some()),
            hang_up: Arc::default(),
        };
        (!renewal.files().is_empty()).then_some(renewal)
    }

    /// Has them read again soon, changed or not.
    pub fn reload(&self) {
        self.hang_up.notify_one();
    }

    /// Reads them again when they change or [`Renewal::reload`] asks for it, until `stop`.
    pub(crate) async fn keep_up(self, stop: CancellationToken) {
        let files = self.files();
        // As they were when they were read, which is a while ago.
        let mut changes = Changes::since(self.seen());
        loop {
            let is_asked = tokio::select! {
                () = stop.cancelled() => return,
                () = self.hang_up.notified() => true,
                () = sleep(LOOK_EVERY) => false,
            };
            let look = Look::at(&files);
            if is_asked {
                changes = Changes::since(look);
            } else if !changes.are_over(look) {
                continue;
            }
            let its = self.clone();
            // An end without a word is that of the runtime.
            let _ = tokio::task::spawn_blocking(move || its.read_again()).await;
        }
    }

    fn read_again(&self) {
        if let Some(tls) = &self.tls {
            match tls.read_again() {
                Ok(()) => {
                    info!("--http-cert and --http-key were read again; new connections get what they hold");
                }
                Err(error) => error!("--http-cert, --http-key: {error}; the ones that were in use stay"),
            }
        }
        if let Some(secret) = &self.secret {
            match secret.read_again() {
                Ok(()) => info!("--secret-file was read again; what it says now is asked for"),
                Err(error) => error!("--secret-file: {error}; the secret that was in force stays"),
            }
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let tls = self.tls.iter().flat_map(Tls::files);
        let secret = self.secret.iter().filter_map(Secret::file);
        tls.chain(secret.map(|(path, _)| path)).collect()
    }

    /// What the files looked like before they were read at the start.
    fn seen(&self) -> Look {
        let tls = self.tls.iter().map(Tls::seen);
        let secret = self.secret.iter().filter_map(Secret::file);
        let each = tls.chain(secret.map(|(_, seen)| seen));
        each.fold(Look::at(&[]), Look::and)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_changed_before_anybody_looked_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, "first").unwrap();
        let secret = Secret::from_file(&file).unwrap();
        std::fs::write(&file, "second").unwrap();
        let access = Access {
            secret: Some(secret.clone()),
            ..Access::default()
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(Renewal::of(&access).unwrap().keep_up(stop.clone()));
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "second".parse().unwrap());
        while !secret.is_known(&headers) {
            // Two looks that are the same, by a clock that waits for nothing.
            sleep(LOOK_EVERY).await;
        }
        stop.cancel();
        running.await.unwrap();
    }
}
