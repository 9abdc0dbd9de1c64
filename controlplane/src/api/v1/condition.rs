//! Conditional requests: `ETag`, `If-Match` and `If-None-Match` (RFC 9110, sections 8.8.3 and 13.1).

use axum::http::{HeaderMap, HeaderName, StatusCode, header};

use crate::api::problem::Problem;
use crate::store::Condition;

/// Tags of one header: nobody has seen more versions of one service.
const TAGS_MAX: usize = 16;

/// The tag of what has `revision`.
pub(super) fn tag(revision: u64) -> String {
    format!("\"{revision}\"")
}

/// What the headers of a write ask for.
///
/// # Errors
///
/// 400, with the header: it is no list of tags, or both are there.
pub(super) fn read(headers: &HeaderMap) -> Result<Condition, Problem> {
    match (wanted(headers)?, unwanted(headers)?) {
        (None, None) => Ok(Condition::Always),
        (Some(Tags::Any), None) => Ok(Condition::Present),
        (Some(Tags::These(revisions)), None) => Ok(Condition::Revision(revisions)),
        (None, Some(Tags::Any)) => Ok(Condition::Absent),
        (None, Some(Tags::These(revisions))) => Ok(Condition::NotRevision(revisions)),
        (Some(_), Some(_)) => Err(Problem::invalid(
            "If-None-Match",
            "If-Match and If-None-Match exclude each other; send one of them",
        )),
    }
}

/// Whether a reader has what is there already (304); it has `revision`, or no tag at all.
///
/// # Errors
///
/// 400 as for [`read`], though both may be there; 412: it is not as If-Match has it.
pub(super) fn is_known(headers: &HeaderMap, revision: Option<u64>) -> Result<bool, Problem> {
    let is_among = |tags: &Tags| match tags {
        Tags::Any => true,
        Tags::These(revisions) => revision.is_some_and(|revision| revisions.contains(&revision)),
    };
    let (wanted, unwanted) = (wanted(headers)?, unwanted(headers)?);
    if wanted.is_some_and(|wanted| !is_among(&wanted)) {
        let detail = "the service is not as If-Match has it; its ETag is another";
        return Err(Problem::new(StatusCode::PRECONDITION_FAILED, detail));
    }
    Ok(unwanted.is_some_and(|unwanted| is_among(&unwanted)))
}

/// RFC 9110, section 13.1.1: `If-Match` compares strongly, and a weak tag equals none then.
fn wanted(headers: &HeaderMap) -> Result<Option<Tags>, Problem> {
    tags(headers, &header::IF_MATCH, "If-Match", false)
}

/// RFC 9110, section 13.1.2: `If-None-Match` compares weakly, where it does not matter whether one is.
fn unwanted(headers: &HeaderMap) -> Result<Option<Tags>, Problem> {
    tags(headers, &header::IF_NONE_MATCH, "If-None-Match", true)
}

enum Tags {
    Any,
    /// Those that can be ours.
    These(Vec<u64>),
}

/// All lines of one header, which are one list (RFC 9110, section 5.3).
fn tags(
    headers: &HeaderMap,
    header: &HeaderName,
    name: &str,
    takes_weak: bool,
) -> Result<Option<Tags>, Problem> {
    let mut lines = headers.get_all(header).iter().peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    let invalid = || {
        let detail =
            format!("{name} is neither tags in quotes, as ETag has them, with commas between, nor *");
        Problem::invalid(name, detail)
    };
    let (mut revisions, mut count, mut is_any) = (Vec::new(), 0, false);
    for line in lines {
        let mut rest = line.as_bytes();
        loop {
            // Nothing between two commas is nothing (RFC 9110, section 5.6.1.2).
            rest = rest.trim_ascii_start();
            if let Some(behind) = rest.strip_prefix(b",") {
                rest = behind;
                continue;
            }
            if rest.is_empty() {
                break;
            }
            count += 1;
            if let Some(behind) = rest.strip_prefix(b"*") {
                (rest, is_any) = (behind, true);
            } else {
                let (is_weak, opaque, behind) = tag_at(rest).ok_or_else(invalid)?;
                rest = behind;
                if takes_weak || !is_weak {
                    revisions.extend(ours(opaque));
                }
            }
            rest = rest.trim_ascii_start();
            if !matches!(rest.first(), None | Some(b',')) {
                return Err(invalid());
            }
        }
    }
    match (is_any, count) {
        (_, 0) => Err(invalid()),
        (true, 1) => Ok(Some(Tags::Any)),
        (true, _) => Err(invalid()),
        (false, count) if count > TAGS_MAX => {
            Err(Problem::invalid(name, format!("give at most {TAGS_MAX} tags")))
        }
        (false, _) => Ok(Some(Tags::These(revisions))),
    }
}

/// Splits a tag off the front: whether it is weak, what stands in its quotes, where a comma is one like any other, and
/// what follows it.
fn tag_at(text: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let (is_weak, text) = match text.strip_prefix(b"W/") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let text = text.strip_prefix(b"\"")?;
    let end = text.iter().position(|octet| *octet == b'"')?;
    let (opaque, behind) = text.split_at_checked(end)?;
    let is_plain = opaque
        .iter()
        .all(|octet| matches!(octet, 0x21 | 0x23..=0x7e | 0x80..=0xff));
    is_plain.then_some((is_weak, opaque, behind.strip_prefix(b"\"")?))
}

/// The revision that a tag of ours says, octet for octet: `"07"` is another one than `"7"`, and matches nothing.
fn ours(opaque: &[u8]) -> Option<u64> {
    let text = str::from_utf8(opaque).ok()?;
    let revision = text.parse::<u64>().ok()?;
    (revision.to_string() == text).then_some(revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: HeaderName = header::IF_MATCH;
    const UNWANTED: HeaderName = header::IF_NONE_MATCH;

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let each = lines
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in each {
            headers.append(name, value);
        }
        headers
    }

    fn check(lines: &[(HeaderName, &str)], expected: Condition) {
        assert_eq!(read(&headers(lines)), Ok(expected), "{lines:?}");
    }

    #[test]
    fn conditions_are_read_from_their_headers() {
        use Condition::{Absent, Always, NotRevision, Present, Revision};
        check(&[], Always);
        check(&[(WANTED, "*")], Present);
        check(&[(UNWANTED, "*")], Absent);
        check(&[(WANTED, "\"7\",\"8\"")], Revision(vec![7, 8]));
        check(&[(WANTED, " , \"7\" ,,\t\"8\" ,")], Revision(vec![7, 8]));
        check(&[(WANTED, "\"7\""), (WANTED, "\"8\"")], Revision(vec![7, 8]));
        check(&[(UNWANTED, "\"7\"")], NotRevision(vec![7]));
        for other in [
            "\"other\"",
            "\"\"",
            "\"07\"",
            "\"+7\"",
            "\"-1\"",
            "\"7,8\"",
            "\"99999999999999999999\"",
        ] {
            check(&[(WANTED, other)], Revision(vec![]));
        }
    }

    // RFC 9110, section 13.1.1: "An origin server MUST use the strong comparison function when comparing entity tags
    // for If-Match"; section 13.1.2: "A recipient MUST use the weak comparison function" for If-None-Match.
    #[test]
    fn a_weak_tag_is_none_to_act_on_and_one_to_know() {
        check(&[(WANTED, "W/\"7\"")], Condition::Revision(vec![]));
        check(&[(WANTED, "W/\"7\", \"8\"")], Condition::Revision(vec![8]));
        check(&[(UNWANTED, "W/\"7\"")], Condition::NotRevision(vec![7]));
        assert_eq!(is_known(&headers(&[(UNWANTED, "W/\"7\"")]), Some(7)), Ok(true));
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused_with_the_header() {
        for wrong in [
            "",
            ",",
            "7",
            "\"7",
            "7\"",
            "w/\"7\"",
            "W/7",
            "W/ \"7\"",
            "\"7\" \"8\"",
            "\"7\"\"8\"",
            "\"a b\"",
            "*, \"7\"",
            "\"7\", *",
            "*, *",
            "**",
            "\"7\"*",
        ] {
            for (header, name) in [(WANTED, "If-Match"), (UNWANTED, "If-None-Match")] {
                let headers = headers(&[(header, wrong)]);
                for problem in [read(&headers).err(), is_known(&headers, Some(7)).err()] {
                    let problem = problem.expect(wrong);
                    assert_eq!(
                        (problem.status, problem.field.as_deref()),
                        (StatusCode::BAD_REQUEST, Some(name)),
                        "{wrong}"
                    );
                }
            }
        }
        let many = vec!["\"x\""; TAGS_MAX + 1].join(",");
        assert!(read(&headers(&[(WANTED, &many)])).is_err());
        assert!(read(&headers(&[(WANTED, "*"), (UNWANTED, "*")])).is_err());
    }

    #[test]
    fn a_reader_is_told_whether_it_knows_what_is_there() {
        let asked = |lines: &[(HeaderName, &str)], revision| {
            is_known(&headers(lines), revision).map_err(|problem| problem.status.as_u16())
        };
        assert_eq!(asked(&[], Some(7)), Ok(false));
        assert_eq!(asked(&[(UNWANTED, "\"6\", \"7\"")], Some(7)), Ok(true));
        assert_eq!(asked(&[(UNWANTED, "*")], None), Ok(true));
        assert_eq!(asked(&[(UNWANTED, "\"7\"")], None), Ok(false));
        assert_eq!(asked(&[(WANTED, "\"7\"")], Some(7)), Ok(false));
        assert_eq!(asked(&[(WANTED, "\"6\"")], Some(7)), Err(412));
        assert_eq!(asked(&[(WANTED, "\"6\"")], None), Err(412));
        assert_eq!(
            asked(&[(WANTED, "\"7\""), (UNWANTED, "\"7\"")], Some(7)),
            Ok(true)
        );
    }
}
