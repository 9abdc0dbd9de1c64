//! The socket of the admin listener.

use std::io;

use dataplane::Protocol;
use tokio::net::TcpListener;

use crate::failure::{self, Failure};
use crate::holder;
use crate::settings::Http;

/// The admin listener, or a sentence about why there is none.
pub(crate) type Admin = Result<TcpListener, String>;

/// Binds it. Names resolve without it, so only one that the user named must be had.
///
/// # Errors
///
/// [`Failure::Runtime`]: the address was given, and cannot be had; the sentence names it, why, and who holds it. Or no
/// descriptor is left, and more than this would fail.
pub(crate) async fn bind(http: Http) -> Result<Admin, Failure> {
    let address = http.address;
    let reason = match TcpListener::bind(address).await {
        Ok(listener) => return Ok(Ok(listener)),
        Err(error) if failure::shortage(&error).is_some() => {
            return Err(failure::of(&format!("{address} (TCP) cannot be bound"), &error));
        }
        Err(error) => match error.kind() {
            io::ErrorKind::AddrInUse => format!("{address} (TCP) is {}", holder::of(address, Protocol::Tcp)),
            io::ErrorKind::AddrNotAvailable => {
                format!("{address} is not an address of this host; `ip address` lists those that are")
            }
            io::ErrorKind::PermissionDenied => format!("{address} (TCP) is not allowed: its port needs root"),
            _ => format!("{address} (TCP) cannot be bound ({error})"),
        },
    };
    if http.is_given {
        return Err(Failure::Runtime(format!("{reason}; give --http another address")));
    }
    Ok(Err(format!(
        "none: {reason}; --http ADDRESS:PORT gives it another place"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_of_another_host_is_told_as_such() {
        let address = "192.0.2.1:8053".parse().unwrap();
        let is_given = true;
        let failure = bind(Http { address, is_given }).await.unwrap_err().to_string();
        assert!(
            failure.starts_with("192.0.2.1:8053 is not an address of this host; `ip address`"),
            "{failure}"
        );
    }

    #[tokio::test]
    async fn a_taken_address_is_an_error_only_if_it_was_given() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let held = format!("{address} (TCP) is held by");

        let reason = bind(Http {
            address,
            is_given: false,
        })
        .await
        .unwrap()
        .unwrap_err();
        assert!(reason.starts_with(&format!("none: {held}")), "{reason}");
        let failure = bind(Http {
            address,
            is_given: true,
        })
        .await
        .unwrap_err()
        .to_string();
        assert!(
            failure.starts_with(&held) && failure.contains("--http"),
            "{failure}"
        );
    }
}
