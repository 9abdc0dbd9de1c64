//! Conditional requests: `ETag`, `If-Match` and `If-None-Match` (RFC 9110, sections 8.8.3 and 13.1).

use axum::http::{HeaderMap, HeaderName, header};

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
/// 400: a header is no list of tags, or both are there.
pub(super) fn read(headers: &HeaderMap) -> Result<Condition, Problem> {
    let wanted = tags(headers, &header::IF_MATCH)?;
    let unwanted = tags(headers, &header::IF_NONE_MATCH)?;
    match (wanted, unwanted) {
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

/// Whether a reader has `revision` already.
pub(super) fn is_known(headers: &HeaderMap, revision: u64) -> bool {
    match tags(headers, &header::IF_NONE_MATCH) {
        Ok(Some(Tags::Any)) => true,
        Ok(Some(Tags::These(revisions))) => revisions.contains(&revision),
        Ok(None) | Err(_) => false,
    }
}

enum Tags {
    Any,
    /// Those that can be ours.
    These(Vec<u64>),
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Problem> {
    let mut values = headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    let invalid = || {
        let detail = format!("{name} is no list of tags in quotes, as ETag has them, and no *");
        Problem::invalid(name.as_str(), detail)
    };
    let mut revisions = Vec::new();
    for value in values {
        for tag in value.to_str().map_err(|_| invalid())?.split(',') {
            let tag = tag.trim();
            if tag == "*" {
                return Ok(Some(Tags::Any));
            }
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            let bare = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            // A tag that cannot be ours matches nothing.
            revisions.extend(bare.ok_or_else(invalid)?.parse::<u64>());
            if revisions.len() > TAGS_MAX {
                return Err(Problem::invalid(
                    name.as_str(),
                    format!("give at most {TAGS_MAX} tags"),
                ));
            }
        }
    }
    Ok(Some(Tags::These(revisions)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[(HeaderName, &str)], expected: Option<Condition>) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        assert_eq!(read(&headers).ok(), expected, "{lines:?}");
    }

    #[test]
    fn conditions_are_read_from_their_headers() {
        use Condition::{Absent, Always, NotRevision, Present, Revision};
        let (wanted, unwanted) = (header::IF_MATCH, header::IF_NONE_MATCH);
        check(&[], Some(Always));
        check(&[(wanted.clone(), "*")], Some(Present));
        check(&[(unwanted.clone(), "*")], Some(Absent));
        check(&[(wanted.clone(), "\"7\", W/\"8\"")], Some(Revision(vec![7, 8])));
        check(
            &[(wanted.clone(), "\"7\""), (wanted.clone(), "\"8\"")],
            Some(Revision(vec![7, 8])),
        );
        check(&[(unwanted.clone(), "\"7\"")], Some(NotRevision(vec![7])));
        check(&[(wanted.clone(), "\"other\"")], Some(Revision(vec![])));
        check(&[(wanted.clone(), "7")], None);
        check(&[(wanted, "*"), (unwanted, "*")], None);
    }
}
