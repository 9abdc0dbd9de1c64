//! Queries of one lane that wait for an answer.

/// Queries that may wait on one lane. One that finds no place counts as lost: the server is that far behind.
const PLACES: usize = 1 << PLACE_BITS;
const PLACE_BITS: u32 = 12;

/// Who waits. A query's id is its place and, above it, a count of the place's uses: what comes for a use before is
/// late and nobody's.
#[derive(Debug)]
pub(crate) struct Pending {
    places: Vec<Place>,
    free: Vec<u16>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    uses: u16,
    waiting: Option<Waiting>,
}

/// A query that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// The question's place in the script.
    pub(crate) question: u32,
    /// When it was due, in nanoseconds.
    pub(crate) due_ns: u64,
}

impl Pending {
    pub(crate) fn new() -> Self {
        Self {
            places: vec![Place::default(); PLACES],
            free: (0..PLACES as u16).rev().collect(),
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        PLACES - self.free.len()
    }

    /// Notes a query, and gives its id; `None`: there is no place.
    pub(crate) fn begin(&mut self, waiting: Waiting) -> Option<u16> {
        let number = self.free.pop()?;
        let place = &mut self.places[usize::from(number)];
        place.uses = place.uses.wrapping_add(1);
        place.waiting = Some(waiting);
        Some(id(number, place.uses))
    }

    /// Takes out the query with this id, if it still waits.
    pub(crate) fn end(&mut self, with_id: u16) -> Option<Waiting> {
        let number = with_id & (PLACES as u16 - 1);
        let place = &mut self.places[usize::from(number)];
        if id(number, place.uses) != with_id {
            return None;
        }
        let waiting = place.waiting.take()?;
        self.free.push(number);
        Some(waiting)
    }

    /// Takes out all that were due before `ns`, and counts them.
    pub(crate) fn expire(&mut self, ns: u64) -> u64 {
        let mut expired = 0;
        for (number, place) in (0..).zip(&mut self.places) {
            if place.waiting.take_if(|waiting| waiting.due_ns < ns).is_some() {
                self.free.push(number);
                expired += 1;
            }
        }
        expired
    }
}

fn id(place: u16, uses: u16) -> u16 {
    place | uses << PLACE_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(question: u32) -> Waiting {
        Waiting {
            question,
            due_ns: u64::from(question),
        }
    }

    #[test]
    fn an_answer_finds_its_query_once() {
        let mut pending = Pending::new();
        let (one, two) = (
            pending.begin(waiting(1)).unwrap(),
            pending.begin(waiting(2)).unwrap(),
        );
        assert_eq!(pending.end(two), Some(waiting(2)));
        assert_eq!(pending.end(two), None);
        assert_eq!(pending.end(one), Some(waiting(1)));
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn what_is_late_is_not_taken_for_the_answer_to_another_query() {
        let mut pending = Pending::new();
        let late = pending.begin(waiting(1)).unwrap();
        assert_eq!(pending.expire(2), 1);
        let next = pending.begin(waiting(2)).unwrap();
        assert_ne!(late, next);
        assert_eq!((pending.end(late), pending.end(next)), (None, Some(waiting(2))));
    }

    #[test]
    fn there_is_an_end_to_what_may_wait() {
        let mut pending = Pending::new();
        for number in 0..PLACES as u32 {
            pending.begin(waiting(number)).unwrap();
        }
        assert_eq!(pending.begin(waiting(0)), None);
        assert_eq!(pending.expire(u64::MAX), PLACES as u64);
        assert_eq!(pending.len(), 0);
    }
}
