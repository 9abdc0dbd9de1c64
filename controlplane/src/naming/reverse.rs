//! The zones that hold the reverse names of a subnet.

use dns::Name;
use ipnet::IpNet;

/// Shortest prefix whose reverse names we take for ours, in bits. No engine gives out more than that.
const PREFIX_MIN: u8 = 8;

/// The zones that hold the reverse names of all addresses of `subnet`, and of no other.
///
/// Reverse zones end at whole octets (RFC 1035, section 3.5) or nibbles (RFC 3596, section 2.5). A subnet that does not is
/// cut into parts that do: 172.18.0.0/20 into sixteen of 256 addresses each, at most 128. None for a prefix
/// shorter than [`PREFIX_MIN`].
pub(crate) fn reverse_zones(subnet: &IpNet) -> Vec<Name> {
    let (step, labels) = match subnet {
        IpNet::V4(_) => (8, 4),
        IpNet::V6(_) => (4, 32),
    };
    if subnet.prefix_len() < PREFIX_MIN {
        return Vec::new();
    }
    let aligned = subnet.prefix_len().next_multiple_of(step);
    let parts = subnet.subnets(aligned).into_iter().flatten();
    let zone = |part: IpNet| {
        let first = Name::reverse(part.network());
        let kept = first.labels().skip(labels - usize::from(aligned / step));
        Name::from_labels(kept).expect("a part of a name is one")
    };
    parts.map(zone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(subnet: &str) -> Vec<String> {
        let zones = reverse_zones(&subnet.parse().unwrap());
        zones.iter().map(Name::to_string).collect()
    }

    #[test]
    fn an_aligned_subnet_is_one_zone() {
        assert_eq!(zones("10.0.0.0/8"), ["10.in-addr.arpa"]);
        assert_eq!(zones("172.17.0.0/16"), ["17.172.in-addr.arpa"]);
        assert_eq!(zones("172.17.5.1/24"), ["5.17.172.in-addr.arpa"]);
        assert_eq!(zones("10.1.2.3/32"), ["3.2.1.10.in-addr.arpa"]);
        let expected = "2.0.0.0.0.0.0.0.8.1.0.0.0.0.d.f.ip6.arpa";
        assert_eq!(zones("fd00:18:0:2::/64"), [expected]);
    }

    #[test]
    fn an_unaligned_subnet_is_cut_into_the_fewest_zones_that_hold_no_stranger() {
        assert_eq!(
            zones("192.168.0.0/23"),
            ["0.168.192.in-addr.arpa", "1.168.192.in-addr.arpa"]
        );
        let twelve = zones("172.16.0.0/12");
        assert_eq!((twelve.len(), twelve[15].as_str()), (16, "31.172.in-addr.arpa"));
        let small = zones("10.0.0.248/29");
        assert_eq!((small.len(), small[0].as_str()), (8, "248.0.0.10.in-addr.arpa"));
        assert_eq!(zones("10.0.0.0/25").len(), 128);
        assert_eq!(zones("fd00::/63").len(), 2);
        assert_eq!(zones("fd00::8/125").len(), 8);
    }

    #[test]
    fn nobody_owns_the_reverse_names_of_everything() {
        for subnet in ["0.0.0.0/0", "128.0.0.0/1", "::/0"] {
            assert_eq!(zones(subnet), [""; 0], "{subnet}");
        }
    }
}
