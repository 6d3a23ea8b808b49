//! Request bodies: bounded before and after they are inflated.

use std::io::Read as _;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::MAX_BODY;
use crate::error::{Error, Result};
use crate::strict_json;

/// Reads a whole body. Java's connector compresses it.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes> {
    let collected = Limited::new(body, MAX_BODY)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                return Error::TooLarge;
            }
            Error::Invalid("the request body did not arrive".to_owned())
        })?;
    let bytes = collected.to_bytes();
    match headers
        .get(CONTENT_ENCODING)
        .map(|value| value.to_str().unwrap_or_default())
    {
        None | Some("identity") => Ok(bytes),
        Some("gzip" | "x-gzip") => inflate(&bytes),
        Some(_) => Err(Error::Invalid(
            "the request body's encoding is neither gzip nor identity".into(),
        )),
    }
}

fn inflate(bytes: &[u8]) -> Result<Bytes> {
    let limit = u64::try_from(MAX_BODY).unwrap_or(u64::MAX) + 1;
    let mut inflated = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut inflated)
        .map_err(|_| Error::Invalid("the request body is not gzip".to_owned()))?;
    if inflated.len() > MAX_BODY {
        return Err(Error::TooLarge);
    }
    Ok(inflated.into())
}

/// Reads a body of JSON. Members that we do not know are ignored, so that newer connectors work.
pub(super) async fn read_json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T> {
    let bytes = read(headers, body).await?;
    let told = |error: serde_json::Error| Error::Invalid(format!("the request body: {error}"));
    let value = strict_json::parse(&bytes).map_err(told)?;
    if !value.is_object() {
        return Err(Error::Invalid(
            "the request body is not a JSON object".to_owned(),
        ));
    }
    serde_json::from_value(value).map_err(told)
}
