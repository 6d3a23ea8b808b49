//! Request bodies: bounded before and after they are inflated, and all of them together.

use std::io::Read as _;
use std::ops::Deref;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use transport::accept::Source;

use super::{App, Caller, MAX_BODY};
use crate::budget::Share;
use crate::error::{Error, Result};
use crate::strict_json;

/// Smallest piece that the budget counts: an allocation has a cost of its own.
const PIECE: usize = 1024;

/// A body, which counts as in flight until it is dropped.
pub(super) struct Collected {
    bytes: Bytes,
    _share: Share,
}

impl Deref for Collected {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a whole body. Java's connector compresses it.
pub(super) async fn read(app: &App, parts: &Parts, body: Body) -> Result<Collected> {
    let mut share = app.bodies.share(source(parts));
    // Headers wait with the body.
    share.take(header_size(&parts.headers).max(PIECE))?;
    let bytes = collect(&mut share, body).await?;
    let encoding = parts.headers.get(CONTENT_ENCODING);
    let bytes = match encoding.map(|value| value.to_str().unwrap_or_default()) {
        None | Some("identity") => bytes,
        Some("gzip" | "x-gzip") => {
            share.take(MAX_BODY)?;
            inflate(&bytes)?
        }
        Some(_) => {
            return Err(Error::Invalid(
                "the request body's encoding is neither gzip nor identity".into(),
            ));
        }
    };
    Ok(Collected {
        bytes,
        _share: share,
    })
}

async fn collect(share: &mut Share, mut body: Body) -> Result<Bytes> {
    let (mut bytes, mut counted) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| Error::Invalid("the request body did not arrive".to_owned()))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        let length = bytes.len() + piece.len();
        if length > MAX_BODY {
            return Err(Error::TooLarge);
        }
        let needed = length.next_multiple_of(PIECE);
        share.take(needed - counted)?;
        counted = needed;
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

/// All addresses of one caller share what it may have in flight.
fn source(parts: &Parts) -> String {
    let caller = parts.extensions.get::<Caller>();
    caller.map_or_else(String::new, |caller| Source::of(caller.0).to_string())
}

fn header_size(headers: &HeaderMap) -> usize {
    let sizes = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    sizes.sum()
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
pub(super) async fn read_json<T: DeserializeOwned>(
    app: &App,
    parts: &Parts,
    body: Body,
) -> Result<T> {
    let bytes = read(app, parts, body).await?;
    let told = |error: serde_json::Error| Error::Invalid(format!("the request body: {error}"));
    let value = strict_json::parse(&bytes).map_err(told)?;
    if !value.is_object() {
        return Err(Error::Invalid(
            "the request body is not a JSON object".to_owned(),
        ));
    }
    serde_json::from_value(value).map_err(told)
}
