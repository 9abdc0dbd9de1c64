//! What carries requests to an engine: bollard's client, over connections that are kept for the next request.
//!
//! Left to itself the library opens a socket for each request. Of what an inspect costs us, and the engine, that was the
//! larger half.

use std::future::Future;
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper::Response;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyperlocal::UnixConnector;

use super::endpoint::{Address, Endpoint};

/// Connections without a request that are kept. What is asked for at once beyond them is asked for over others, which are
/// closed behind it.
const KEPT_MAX: usize = 4;

/// How long one is kept. Short of what a proxy before an engine allows, which would else close it under a request.
const KEPT_FOR: Duration = Duration::from_secs(2);

/// A client of the engine at `endpoint`, which has not been spoken to yet. An answer has to begin within `seconds`.
///
/// # Errors
///
/// A certificate cannot be read.
pub(super) fn client(endpoint: &Endpoint, seconds: u64) -> Result<Docker, Error> {
    match &endpoint.address {
        Address::Unix(path) => {
            // The connector finds the path where a host stands, in hexadecimal digits.
            let socket = hyper::Uri::from(hyperlocal::Uri::new(path, "/"));
            over(UnixConnector, socket.to_string().trim_end_matches('/'), seconds)
        }
        Address::Http { authority } => over(HttpConnector::new(), &format!("http://{authority}"), seconds),
        // The library offers no other way to its certificates than its own transport.
        Address::Https {
            authority,
            certificates,
        } => Docker::connect_with_ssl(
            authority,
            &certificates.join("key.pem"),
            &certificates.join("cert.pem"),
            &certificates.join("ca.pem"),
            seconds,
            API_DEFAULT_VERSION,
        ),
    }
}

/// A client that speaks to `engine` over connections of `connector`.
fn over<C>(connector: C, engine: &str, seconds: u64) -> Result<Docker, Error>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let http = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(KEPT_MAX)
        .pool_idle_timeout(KEPT_FOR)
        .build(connector);
    let send = move |request: BollardRequest| -> Answer {
        let answer = http.request(request);
        Box::pin(async { answer.await.map_err(Error::from) })
    };
    Docker::connect_with_custom_transport(send, Some(engine), seconds, API_DEFAULT_VERSION)
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Result<Response<Incoming>, Error>> + Send>>;
