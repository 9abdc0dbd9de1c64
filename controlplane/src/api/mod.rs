//! The admin listener: its routes, and its limits.
//!
//! Whoever reaches it may be anyone on this host, so a connection has a place to wait for, a time to speak
//! and a time to end. axum's own `serve` has none of these; the loop here is hyper's, with them.

mod status;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::metrics::Exposition;
use crate::status::Status;

/// Connections at one time; a scraper, a health check and some people. More wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 64;
/// Time to send a request's head, and to be idle before one.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// Time that a connection may last: bounds who reads slowly, and costs a scraper one connection more in five
/// minutes.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(300);
/// Time for what is being answered when we stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);
/// Octets of a request's head; hyper's least buffer.
const HEAD_OCTETS_MAX: usize = 8 * 1024;
/// Octets of a body, which no route reads today.
const BODY_OCTETS_MAX: usize = 64 * 1024;
/// Pause after the kernel gave no connection, which it does when we have no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// What there is to ask for, as the 404 says it.
const ROUTES: &str = "\
not found; there is:
  GET /health   200 while the process answers
  GET /ready    200 once everything that the engines told us first is served, else 503 and what is missing
  GET /metrics  counters for Prometheus (OpenMetrics text)
";

/// What the routes read.
struct Shared {
    status: watch::Receiver<Status>,
    exposition: Exposition,
}

/// All routes.
pub(crate) fn router(status: watch::Receiver<Status>, exposition: Exposition) -> Router {
    Router::new()
        .route("/health", get(status::health))
        .route("/ready", get(status::ready))
        .route("/metrics", get(status::metrics))
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .with_state(Arc::new(Shared { status, exposition }))
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, ROUTES).into_response()
}

/// Serves `router` on `listener` until `stop`, then lets open requests end.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = places.clone().acquire_owned() => place.expect("nobody closes the semaphore"),
        };
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, router.clone(), stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!("admin listener: cannot accept a connection: {error}");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Serves one connection. Its errors are its peer's: nobody here could act on them.
async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_OCTETS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => return,
        () = sleep(CONNECTION_TIME_MAX) => {}
        () = stop.cancelled() => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = timeout(DRAIN_TIME_MAX, serving).await;
}

#[cfg(test)]
mod tests;
