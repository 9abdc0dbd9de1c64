//! Ports as engines and people write them.

use crate::service::{Port, Protocol};

/// Reads `80/tcp`, `53/udp` or `7/sctp`, and `80` as TCP; none for what is no port.
pub(super) fn parse(text: &str) -> Option<Port> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    let number = number.parse().ok().filter(|&number| number != 0)?;
    Some(Port { protocol, number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_port_is_none() {
        for text in [
            "",
            "/tcp",
            "0/tcp",
            "65536/tcp",
            "80/ipx",
            "a/udp",
            "-1/tcp",
            "80-90/tcp",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        let numbers = ["81", "82/TCP", "83/sctp"].map(|text| parse(text).unwrap().number);
        assert_eq!(numbers, [81, 82, 83]);
    }
}
