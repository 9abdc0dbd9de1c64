//! What carries requests to an engine: bollard's client, over connections that are kept for the next request.
//!
//! Left to itself the library opens a socket for each request. Of what an inspect costs us, and the engine, that was the
//! larger half.

use std::error::Error as _;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyperlocal::UnixConnector;

use super::endpoint::{Address, Endpoint};

/// Connections without a request that are kept. What is asked for at once beyond them is asked for over others, which are
/// closed behind it.
const KEPT_MAX: usize = 4;

/// How long one is used again; it is closed within as long after that.
const KEPT_FOR: Duration = Duration::from_secs(2);

type Answer = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Error>> + Send>>;

/// A client of the engine at `endpoint`, which has not been spoken to yet. An answer has to begin within `seconds`. It asks
/// for things and sends none.
///
/// # Errors
///
/// A certificate cannot be read.
pub(super) fn client(endpoint: &Endpoint, seconds: u64) -> Result<Docker, Error> {
    match &endpoint.address {
        Address::Unix(path) => {
            // The connector finds the path where a host stands, in hexadecimal digits.
            let octets = path.as_os_str().as_encoded_bytes();
            let host: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
            over(&UnixConnector, &format!("unix://{host}"), seconds)
        }
        Address::Http { authority } => {
            let mut connector = HttpConnector::new();
            // One that nobody waits for any more must not go on for as long as the kernel does.
            connector.set_connect_timeout(Some(Duration::from_secs(seconds)));
            over(&connector, &format!("http://{authority}"), seconds)
        }
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
fn over<C>(connector: &C, engine: &str, seconds: u64) -> Result<Docker, Error>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client = |kept| {
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(kept)
            .pool_idle_timeout(KEPT_FOR)
            .build(connector.clone())
    };
    let (kept, fresh) = (client(KEPT_MAX), client(0));
    let send = move |request: BollardRequest| -> Answer {
        let again = without_body(&request);
        let (answer, fresh) = (kept.request(without_body(&request)), fresh.clone());
        Box::pin(async move {
            match answer.await {
                // It was closed under the request: by an engine that ends, or by a proxy that waited long enough for one.
                Err(error) if was_closed(&error) => Ok(fresh.request(again).await?),
                answer => Ok(answer?),
            }
        })
    };
    Docker::connect_with_custom_transport(send, Some(engine), seconds, API_DEFAULT_VERSION)
}

/// The same request: whatever we ask for has nothing in it.
fn without_body(request: &BollardRequest) -> Request<Empty<Bytes>> {
    let mut same = Request::new(Empty::new());
    *same.method_mut() = request.method().clone();
    *same.uri_mut() = request.uri().clone();
    *same.headers_mut() = request.headers().clone();
    same
}

/// Whether the connection ended before an answer began.
fn was_closed(error: &hyper_util::client::legacy::Error) -> bool {
    let Some(cause) = error.source().filter(|_| !error.is_connect()) else {
        return false;
    };
    let is_reset = |error: &io::Error| {
        let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        kinds.contains(&error.kind())
    };
    let io = cause.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    let hyper = cause.downcast_ref::<hyper::Error>();
    io.is_some_and(is_reset) || hyper.is_some_and(|it| it.is_incomplete_message() || it.is_canceled())
}
