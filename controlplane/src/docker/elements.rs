//! A list in JSON cut into its elements while it still comes, so that a long one is never held whole.

use std::mem;

use memchr::memchr2;

/// Longest element, in octets: a line of an engine's list repeats all labels of its container, and an engine bounds
/// those by what it reads as one request.
const ELEMENT_OCTETS_MAX: usize = 16 << 20;

/// A list, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Elements {
    place: Place,
    /// What has come of an element that is not complete, or of what is no list.
    part: Vec<u8>,
    /// Lists and objects that are open within that element.
    depth: usize,
    is_in_text: bool,
    is_escaped: bool,
}

/// Where in a list we are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    Inside,
    Behind,
    /// In something else.
    NoList,
}

/// An element is longer than any may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Elements {
    /// Takes in the next octets, and gives `found` the elements that are complete with them, one by one; they may be no
    /// JSON.
    ///
    /// # Errors
    ///
    /// [`TooLong`]: there is no end to an element.
    pub(super) fn take(&mut self, octets: &[u8], mut found: impl FnMut(&[u8])) -> Result<(), TooLong> {
        let mut rest = self.opened(octets);
        while self.place == Place::Inside
            && let Some((element, behind)) = self.split(rest)
        {
            rest = behind;
            let mut whole = mem::take(&mut self.part);
            let element = if whole.is_empty() {
                element
            } else {
                whole.extend_from_slice(element);
                &whole
            };
            // An empty list has none.
            if !element.trim_ascii().is_empty() {
                found(element);
            }
        }
        if self.place != Place::Behind {
            self.part.extend_from_slice(rest);
        }
        if self.part.len() > ELEMENT_OCTETS_MAX {
            return Err(TooLong);
        }
        Ok(())
    }

    /// To be called when nothing comes any more.
    ///
    /// # Errors
    ///
    /// That was no list, or not all of one. Null is an empty one: Podman writes it so.
    pub(super) fn finish(&self) -> Result<(), serde_json::Error> {
        let end = match self.place {
            Place::Behind => return Ok(()),
            Place::Inside => b"[",
            Place::Before | Place::NoList => &*self.part,
        };
        serde_json::from_slice::<Option<Vec<serde::de::IgnoredAny>>>(end).map(drop)
    }

    /// What follows the list's opening in `octets`; all of them if that came before.
    fn opened<'o>(&mut self, octets: &'o [u8]) -> &'o [u8] {
        if self.place != Place::Before {
            return octets;
        }
        match octets.trim_ascii_start().split_first() {
            None => &[],
            Some((b'[', rest)) => {
                self.place = Place::Inside;
                rest
            }
            Some(_) => {
                self.place = Place::NoList;
                octets
            }
        }
    }

    /// What ends an element, and what follows the comma or bracket behind it; none if none ends.
    fn split<'o>(&mut self, octets: &'o [u8]) -> Option<(&'o [u8], &'o [u8])> {
        let mut at = 0;
        loop {
            let rest = octets.get(at..)?;
            if self.is_in_text {
                at += self.text_end(rest)?;
                continue;
            }
            at += rest
                .iter()
                .position(|octet| matches!(octet, b'"' | b'[' | b'{' | b']' | b'}' | b','))?;
            if self.is_end(*octets.get(at)?) {
                let (element, behind) = octets.split_at_checked(at)?;
                return Some((element, behind.get(1..)?));
            }
            at += 1;
        }
    }

    /// How far `octets`, which are within a text, belong to it; none if all do. Most of a list is texts, and in these only
    /// two octets matter.
    fn text_end(&mut self, octets: &[u8]) -> Option<usize> {
        if octets.is_empty() {
            return None;
        }
        let mut at = usize::from(mem::take(&mut self.is_escaped));
        loop {
            let next = memchr2(b'"', b'\\', octets.get(at..)?)?;
            at += next + 1;
            if octets.get(at - 1) == Some(&b'"') {
                self.is_in_text = false;
                return Some(at);
            }
            // What is escaped stands for itself, and may not have come yet.
            if at >= octets.len() {
                self.is_escaped = true;
                return None;
            }
            at += 1;
        }
    }

    /// Whether the element ends before this octet, which is in no text.
    fn is_end(&mut self, octet: u8) -> bool {
        match octet {
            b'"' => self.is_in_text = true,
            b'[' | b'{' => self.depth += 1,
            b']' | b'}' if self.depth > 0 => self.depth -= 1,
            b']' | b'}' => self.place = Place::Behind,
            b',' => return self.depth == 0,
            _ => {}
        }
        self.place == Place::Behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements of a list that comes in these pieces, and whether it was one.
    fn elements(pieces: &[&[u8]]) -> (Vec<String>, bool) {
        let (mut list, mut found) = (Elements::default(), Vec::new());
        for piece in pieces {
            let mut keep =
                |element: &[u8]| found.push(String::from_utf8(element.trim_ascii().to_vec()).unwrap());
            list.take(piece, &mut keep).unwrap();
        }
        (found, list.finish().is_ok())
    }

    #[test]
    fn elements_are_the_same_wherever_the_list_is_cut_into_pieces() {
        let whole = r#" [ {"a": "],}\"[", "b\\": [1, {"c": {}}]},5 ,
            "\\\"," , [], {"last": null} ]"#;
        let expected = [
            r#"{"a": "],}\"[", "b\\": [1, {"c": {}}]}"#,
            "5",
            r#""\\\",""#,
            "[]",
            r#"{"last": null}"#,
        ];
        for cut in 0..=whole.len() {
            let (first, second) = whole.as_bytes().split_at(cut);
            let (found, is_list) = elements(&[first, second]);
            assert!(is_list);
            assert_eq!(found, expected, "{cut}");
        }
        let octets: Vec<&[u8]> = whole.as_bytes().chunks(1).collect();
        assert_eq!(elements(&octets).0, expected);
    }

    #[test]
    fn a_list_that_is_empty_or_null_has_no_element_and_all_else_is_none() {
        for list in ["[]", " [ ] ", "null", " null\n"] {
            assert_eq!(elements(&[list.as_bytes()]), (vec![], true), "{list}");
        }
        for other in ["", " ", "{}", "{\"a\": []}", "5", "nul", "[", "[{}", "[{},"] {
            assert!(!elements(&[other.as_bytes()]).1, "{other}");
        }
    }

    #[test]
    fn an_element_without_end_is_not_waited_for() {
        let mut list = Elements::default();
        let piece = [b'x'; 1 << 16];
        let taken = |list: &mut Elements| list.take(&piece, |_| {});
        list.take(b"[\"", |_| {}).unwrap();
        let ended = (0..=ELEMENT_OCTETS_MAX / piece.len()).map(|_| taken(&mut list));
        assert_eq!(ended.last(), Some(Err(TooLong)));
    }
}
