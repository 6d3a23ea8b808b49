//! The OpenAPI document of the API.

use serde_json::Value;

/// The document, served at `/openapi.json` and committed as `docs/openapi.json`.
pub(crate) fn document() -> Value {
    serde_json::json!({})
}
