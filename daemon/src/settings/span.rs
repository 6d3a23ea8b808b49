//! Durations as people write them: `30s`, `1m30s`, `500ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration with its unit, in a flag, a variable or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

/// A text is not a duration with its unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration with its unit, such as 30s or 1m30s")]
pub struct NotASpan;

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let text = crate::text::clean(text);
        // Zero needs no unit, as in Google's flags.
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|_| NotASpan)
    }
}

impl TryFrom<String> for Span {
    type Error = NotASpan;

    fn try_from(text: String) -> Result<Self, NotASpan> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_unless_it_is_zero() {
        assert_eq!("1m30s".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!("500ms".parse(), Ok(Span(Duration::from_millis(500))));
        assert_eq!(" '5s'\n".parse(), Ok(Span(Duration::from_secs(5))));
        assert_eq!("0".parse(), Ok(Span(Duration::ZERO)));
        assert_eq!("1.5h".parse(), Ok(Span(Duration::from_secs(5400))));
        assert_eq!("1m0.25s".parse(), Ok(Span(Duration::from_millis(60_250))));
        for bad in ["", "30", "-1s", "soon", "1.5", ".s", "1..5s"] {
            assert_eq!(bad.parse::<Span>(), Err(NotASpan), "{bad:?} was accepted");
        }
    }
}
