//! Records as they lie in an entry, one after the other.
//!
//! ```text
//! | owner: pointer, or whole | type: u16 | class: u16 | TTL: u32 | length: u16 | data |
//! ```

use dns::{Name, NameRef, RType};

/// Whether one of `records` is an alias of `name` or of a name below it.
pub(super) fn leads_into(records: &[u8], name: &Name) -> bool {
    let mut rest = records;
    while let Some((rtype, data, after)) = split(rest) {
        if rtype == RType::CNAME
            && let Ok((target, _)) = NameRef::split(data)
            && target.start_of(name).is_some()
        {
            return true;
        }
        rest = after;
    }
    false
}

/// The first record's type and data, and the octets after it.
fn split(records: &[u8]) -> Option<(RType, &[u8], &[u8])> {
    let rest = match records.first()? {
        0xc0.. => records.get(2..)?,
        _ => NameRef::split(records).ok()?.1,
    };
    let (&[t0, t1, _, _, _, _, _, _, l0, l1], rest) = rest.split_first_chunk()?;
    let (data, after) = rest.split_at_checked(u16::from_be_bytes([l0, l1]).into())?;
    Some((RType(u16::from_be_bytes([t0, t1])), data, after))
}
