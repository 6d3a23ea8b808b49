//! The application's answer to the greeting: `HandshakeResponse41`, or an SSLRequest.

use std::ops::Range;

use zeroize::Zeroizing;

use super::bridge::SHA256;
use super::capability;
use super::reader::Reader;
use crate::machine::Violation;

/// Length of an SSLRequest: the fixed front of a handshake response and nothing else.
const SSL_REQUEST: usize = 32;
/// Where the greatest packet and the character set stand in that front, behind the capabilities.
const SETTINGS: Range<usize> = 4..9;
/// A plugin that no account has: the database then asks for the account's own.
const NO_PLUGIN: &[u8] = b"none";
/// Filler in that front.
const FILLER: usize = 23;

/// What an application answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// It wants TLS first.
    TlsWanted(SslRequest),
    /// It logs in.
    Login(HandshakeResponse),
}

/// An SSLRequest: the fixed front of a handshake response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SslRequest([u8; SSL_REQUEST]);

impl SslRequest {
    /// The handshake response that followed, with what counts of this front.
    ///
    /// Both servers go by the capabilities of the SSLRequest, and some clients (asyncmy, old Connector/J) send others later.
    /// MariaDB takes the greatest packet and the character set from the response all the same.
    pub(super) fn front_of(&self, payload: &[u8], mariadb: bool) -> Result<Vec<u8>, Violation> {
        let mut joined = payload.to_vec();
        let front = joined
            .first_chunk_mut::<SSL_REQUEST>()
            .ok_or(Violation("packet ends too early"))?;
        let own = *front;
        *front = self.0;
        let settings = (front.get_mut(SETTINGS), own.get(SETTINGS));
        if let (true, (Some(settings), Some(own))) = (mariadb, settings) {
            settings.copy_from_slice(own);
        }
        Ok(joined)
    }
}

/// What the login must know of a handshake response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HandshakeResponse {
    /// What the application can and wants.
    pub(super) capabilities: u32,
    /// The database user.
    pub(super) user: Vec<u8>,
    /// The schema, if one is named.
    pub(super) schema: Option<Vec<u8>>,
    /// The plugin by which the authentication response was made; the greeting's when none is named.
    pub(super) plugin: Option<String>,
    /// The authentication response, with its length or its NUL.
    answer: Range<usize>,
    /// The plugin's name, with its NUL.
    named: Range<usize>,
}

impl HandshakeResponse {
    /// Whether `sha256_password` made the authentication response: a password in clear, or a request for a key.
    pub(super) fn is_by_sha256(&self) -> bool {
        self.plugin.as_deref() == Some(SHA256)
    }

    /// The payload as of an application that has not begun to authenticate: the database answers with an AuthSwitchRequest.
    pub(super) fn unanswered(&self, payload: &[u8]) -> Vec<u8> {
        let part = |range: Range<usize>| payload.get(range).unwrap_or_default();
        [
            part(0..self.answer.start),
            // Empty, in each of its three shapes.
            &[0],
            part(self.answer.end..self.named.start),
            NO_PLUGIN,
            &[0],
            part(self.named.end..payload.len()),
        ]
        .concat()
    }
}

impl Response {
    /// Reads the payload of the application's first packet.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Violation> {
        let mut reader = Reader::new(payload);
        let capabilities = reader.u32()?;
        let has = |flag: u32| capabilities & flag != 0;
        if !has(capability::PROTOCOL_41) {
            return Err(Violation(
                "the application speaks the protocol of before MySQL 4.1",
            ));
        }
        if let (Ok(front), true) = (<[u8; SSL_REQUEST]>::try_from(payload), has(capability::SSL)) {
            return Ok(Self::TlsWanted(SslRequest(front)));
        }
        // Maximum packet, character set, filler.
        reader.take(4 + 1 + FILLER)?;
        let user = reader.until_nul()?.to_vec();
        let place = |reader: &Reader<'_>| payload.len().saturating_sub(reader.rest().len());
        let answer = place(&reader);
        if has(capability::PLUGIN_AUTH_LENENC) {
            reader.length_encoded()?;
        } else if has(capability::SECURE_CONNECTION) {
            let length = usize::from(reader.u8()?);
            reader.take(length)?;
        } else {
            reader.until_nul()?;
        }
        let answer = answer..place(&reader);
        let schema = if has(capability::CONNECT_WITH_DB) {
            Some(text(&mut reader).to_vec())
        } else {
            None
        };
        let named = place(&reader);
        let plugin = has(capability::PLUGIN_AUTH)
            .then(|| String::from_utf8_lossy(text(&mut reader)).into_owned());
        let named = named..place(&reader);
        let schema = schema.filter(|name| !name.is_empty());
        Ok(Self::Login(HandshakeResponse {
            capabilities,
            user,
            schema,
            plugin,
            answer,
            named,
        }))
    }
}

/// Text up to a NUL, or to the end: clients leave out the last NUL, and both servers allow it.
pub(super) fn text<'a>(reader: &mut Reader<'a>) -> &'a [u8] {
    if let Ok(text) = reader.until_nul() {
        return text;
    }
    let rest = reader.rest();
    reader.take(rest.len()).unwrap_or_default()
}

/// The payload without these capabilities.
///
/// `CLIENT_SSL` must be among them: a database that saw it set would wait for a TLS ClientHello.
pub(super) fn without(withheld: u32, payload: &[u8]) -> Vec<u8> {
    let mut forwarded = payload.to_vec();
    if let Some(front) = forwarded.first_chunk_mut::<4>() {
        *front = (u32::from_le_bytes(*front) & !withheld).to_le_bytes();
    }
    forwarded
}

/// The payload with the wish for TLS, for a database that is asked for it.
pub(super) fn with_tls(payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut forwarded = Zeroizing::new(payload.to_vec());
    if let Some(front) = forwarded.first_chunk_mut::<4>() {
        *front = (u32::from_le_bytes(*front) | capability::SSL).to_le_bytes();
    }
    forwarded
}

/// The fixed front of a response, which by itself is an SSLRequest.
pub(super) fn front(payload: &[u8]) -> Result<&[u8; SSL_REQUEST], Violation> {
    payload
        .first_chunk::<SSL_REQUEST>()
        .ok_or(Violation("packet ends too early"))
}
