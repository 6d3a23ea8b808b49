//! The bearer of a request (RFC 6750 2.1).

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::error::Rejection;

/// The one bearer that a request has.
pub(crate) fn from_header(headers: &HeaderMap) -> Result<&str, Rejection> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Rejection::Absent);
    };
    let text = value.to_str().map_err(|_| Rejection::Absent)?;
    match text.split_once(' ') {
        Some((scheme, bearer)) if scheme.eq_ignore_ascii_case("bearer") => Ok(bearer.trim()),
        _ => Err(Rejection::Absent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_bearer_is_taken() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            headers
        };
        assert_eq!(from_header(&headers(&["Bearer abc"])), Ok("abc"));
        assert_eq!(from_header(&headers(&["bearer abc"])), Ok("abc"));
        for none in [&[][..], &["Basic abc"], &["abc"], &["Bearer a", "Bearer b"]] {
            assert_eq!(from_header(&headers(none)), Err(Rejection::Absent));
        }
    }
}
