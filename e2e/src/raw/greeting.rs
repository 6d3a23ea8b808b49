//! What a server says first, and its wish for another plugin.

use anyhow::{Context as _, Result, bail, ensure};

/// Offsets of the fields behind the NUL of the version.
const NONCE_FIRST: std::ops::Range<usize> = 4..12;
const LOW_WORD: std::ops::Range<usize> = 13..15;
const HIGH_WORD: std::ops::Range<usize> = 18..20;
const NONCE_SECOND: std::ops::Range<usize> = 31..43;
const PLUGIN: usize = 44;

/// A greeting (`HandshakeV10`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The server's version.
    pub version: String,
    /// `CONNECTION_ID()`.
    pub thread_id: u32,
    /// 20 bytes for the scramble.
    pub nonce: Vec<u8>,
    /// What is offered.
    pub capabilities: u32,
    /// The plugin that a client should begin with.
    pub plugin: String,
}

impl Greeting {
    /// Reads the payload.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        ensure!(payload.first() == Some(&10), "not protocol version 10");
        let rest = payload.get(1..).unwrap_or_default();
        let (version, rest) = until_nul(rest)?;
        let field = |range: std::ops::Range<usize>| rest.get(range).context("a short greeting");
        let word = |range| -> Result<u32> {
            let bytes: [u8; 2] = field(range)?.try_into()?;
            Ok(u32::from(u16::from_le_bytes(bytes)))
        };
        let thread: [u8; 4] = field(0..4)?.try_into()?;
        let plugin = rest.get(PLUGIN..).unwrap_or_default();
        let plugin = plugin.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(Self {
            version: String::from_utf8_lossy(version).into_owned(),
            thread_id: u32::from_le_bytes(thread),
            nonce: [field(NONCE_FIRST)?, field(NONCE_SECOND)?].concat(),
            capabilities: word(LOW_WORD)? | (word(HIGH_WORD)? << 16),
            plugin: String::from_utf8_lossy(plugin).into_owned(),
        })
    }
}

/// The plugin and the nonce of an AuthSwitchRequest.
pub(super) fn switch(payload: &[u8]) -> Result<(String, Vec<u8>)> {
    let (plugin, data) = until_nul(payload.get(1..).unwrap_or_default())?;
    let nonce = data.strip_suffix(&[0]).unwrap_or(data).to_vec();
    Ok((String::from_utf8_lossy(plugin).into_owned(), nonce))
}

fn until_nul(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let Some(at) = bytes.iter().position(|byte| *byte == 0) else {
        bail!("a text without its NUL");
    };
    let (text, rest) = bytes.split_at(at);
    Ok((text, rest.get(1..).unwrap_or_default()))
}
