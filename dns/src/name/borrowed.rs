//! Names as a packet holds them: read where they lie, and copied only to be asked for.

use std::fmt;

use domain::base::name::Name as DomainName;

use super::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX, Name};

/// A name borrowed from the packet that carried it: wire form, case as it was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NameRef<'p>(pub(super) &'p [u8]);

/// Why the octets at the front of a question are no name. `Copy`: it is made on the query path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitError {
    /// The octets end inside the name.
    Truncated,
    /// A compression pointer or one of the reserved label types (RFC 1035, section 4.1.4; RFC 6891, section 5).
    LabelType,
    /// More than [`NAME_OCTETS_MAX`] octets.
    TooLong,
}

impl<'p> NameRef<'p> {
    /// The root.
    pub const ROOT: Self = Self(&[0]);

    /// Splits an uncompressed name off the front of `body`, and returns the octets after it as well.
    ///
    /// # Errors
    ///
    /// - [`SplitError::Truncated`]: `body` ends inside the name.
    /// - [`SplitError::LabelType`]: a length octet above 63. Before a message's first question there is
    ///   nothing valid that a pointer could mean.
    /// - [`SplitError::TooLong`]: more than [`NAME_OCTETS_MAX`] octets.
    pub fn split(body: &'p [u8]) -> Result<(Self, &'p [u8]), SplitError> {
        let mut end = 0_usize;
        loop {
            let length = usize::from(*body.get(end).ok_or(SplitError::Truncated)?);
            if length > LABEL_OCTETS_MAX {
                return Err(SplitError::LabelType);
            }
            end += 1 + length;
            if end > NAME_OCTETS_MAX {
                return Err(SplitError::TooLong);
            }
            if length == 0 {
                let (name, rest) = body.split_at_checked(end).ok_or(SplitError::Truncated)?;
                return Ok((Self(name), rest));
            }
        }
    }

    /// The wire form, root included, case as it was sent.
    #[must_use]
    pub fn octets(self) -> &'p [u8] {
        self.0
    }

    /// The labels, left to right, without the root.
    pub fn labels(self) -> Labels<'p> {
        Labels(self.0)
    }

    /// The name without its first label; none for the root.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        let (length, rest) = self.0.split_first()?;
        let parent = rest.get(usize::from(*length)..)?;
        (*length > 0).then_some(Self(parent))
    }

    /// Where `apex` begins inside this name, in octets; none when this name is not `apex` nor below it.
    ///
    /// Compares without case, on label boundaries.
    #[must_use]
    pub fn start_of(self, apex: &Name) -> Option<usize> {
        let start = self.0.len().checked_sub(apex.0.len())?;
        let mut boundary = 0;
        while boundary < start {
            boundary += 1 + usize::from(*self.0.get(boundary)?);
        }
        let suffix = self.0.get(start..)?;
        (boundary == start && suffix.eq_ignore_ascii_case(&apex.0)).then_some(start)
    }
}

impl fmt::Display for NameRef<'_> {
    /// Presentation form without the last dot, what is not printable escaped (RFC 1035, section 5.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DomainName::from_octets(self.0) {
            Ok(name) => name.fmt(f),
            Err(_) => f.write_str("<not a name>"),
        }
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NameRef({self})")
    }
}

/// The labels of a name, left to right, without the root.
#[derive(Clone)]
pub struct Labels<'p>(&'p [u8]);

impl<'p> Iterator for Labels<'p> {
    type Item = &'p [u8];

    fn next(&mut self) -> Option<&'p [u8]> {
        let (&length, rest) = self.0.split_first()?;
        if length == 0 {
            return None;
        }
        let (label, rest) = rest.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some(label)
    }
}

/// A lower-cased copy of a packet's name on the stack: what the tables are asked with.
pub struct Folded {
    octets: [u8; NAME_OCTETS_MAX],
    length: usize,
}

impl Folded {
    /// Copies and lower-cases `name`.
    #[must_use]
    pub fn new(name: NameRef<'_>) -> Self {
        let mut folded = Self {
            octets: [0; NAME_OCTETS_MAX],
            length: name.0.len().min(NAME_OCTETS_MAX),
        };
        for (to, from) in folded.octets.iter_mut().zip(name.0) {
            *to = from.to_ascii_lowercase();
        }
        folded
    }

    /// The wire form, lower-cased, root included.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    /// The copy as a borrowed name.
    #[must_use]
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef(self.octets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_refuses_pointers_reserved_types_and_short_octets() {
        assert_eq!(NameRef::split(b"").unwrap_err(), SplitError::Truncated);
        assert_eq!(NameRef::split(b"\x03de").unwrap_err(), SplitError::Truncated);
        assert_eq!(NameRef::split(b"\x03dev").unwrap_err(), SplitError::Truncated);
        for length in [0x40, 0x41, 0x80, 0xc0] {
            assert_eq!(NameRef::split(&[length, 12]).unwrap_err(), SplitError::LabelType);
        }
        let mut long: Vec<u8> = std::iter::repeat_n([1, b'a'], 127).flatten().collect();
        assert_eq!(NameRef::split(&long).unwrap_err(), SplitError::Truncated);
        long.push(0);
        assert_eq!(NameRef::split(&long).unwrap().0.octets().len(), 255);
        long.splice(0..0, [1, b'a']);
        assert_eq!(NameRef::split(&long).unwrap_err(), SplitError::TooLong);
    }
}
