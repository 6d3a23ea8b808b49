//! What the CA said, held to the shapes that it promises.

use reqwest::{Response, StatusCode};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

/// What the CA said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    pub(super) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self {
            status,
            headers,
            body,
        }
    }

    /// The message of an error in Google's shape; fails if it has not that shape.
    pub(super) fn google_error(&self) -> (u16, &str, &str) {
        assert_eq!(self.headers["content-type"], "application/json");
        let error = &self.body["error"];
        assert_eq!(error["code"], self.status.as_u16(), "{self:?}");
        let message = error["message"].as_str().unwrap();
        assert!(!message.is_empty());
        assert_eq!(error["errors"][0]["message"], message);
        (
            self.status.as_u16(),
            error["errors"][0]["reason"].as_str().unwrap(),
            message,
        )
    }

    /// Error and description in OAuth's shape; fails if it has not that shape.
    pub(super) fn oauth_error(&self) -> (u16, &str, &str) {
        assert_eq!(self.headers["content-type"], "application/json");
        assert_eq!(self.headers["cache-control"], "no-store");
        let text = |name: &str| {
            self.body[name]
                .as_str()
                .unwrap_or_else(|| panic!("{self:?}"))
        };
        (
            self.status.as_u16(),
            text("error"),
            text("error_description"),
        )
    }

    /// The certificate of an answer, as DER.
    pub(super) fn certificate(&self) -> Vec<u8> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        let pem = ["ephemeralCert", "serverCert"]
            .into_iter()
            .find_map(|name| self.body[name]["cert"].as_str())
            .unwrap();
        assert!(
            pem.ends_with("-----END CERTIFICATE-----\n"),
            "nothing after the last line"
        );
        CertificateDer::from_pem_slice(pem.as_bytes())
            .unwrap()
            .to_vec()
    }
}
