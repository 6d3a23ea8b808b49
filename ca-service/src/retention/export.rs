//! Files that entries of the audit are written to: one a month, JSON lines, for their owner alone.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use sqlx::FromRow;

use crate::clock::{Seconds, rfc3339};
use crate::error::{Error, Result};

/// An entry of the audit, as it is stored.
#[derive(FromRow)]
pub(super) struct Exported {
    pub(super) id: i64,
    at: Seconds,
    actor: String,
    action: String,
    outcome: String,
    instance: String,
    detail: String,
}

impl Exported {
    fn line(&self) -> String {
        let detail: Value =
            serde_json::from_str(&self.detail).unwrap_or_else(|_| self.detail.clone().into());
        let line = json!({
            "id": self.id,
            "at": rfc3339(self.at),
            "actor": self.actor,
            "action": self.action,
            "outcome": self.outcome,
            "instance": self.instance,
            "detail": detail,
        });
        format!("{line}\n")
    }

    /// `audit-2026-12.jsonl`.
    fn file(&self) -> String {
        let month: String = rfc3339(self.at).chars().take(7).collect();
        format!("audit-{month}.jsonl")
    }
}

/// Appends entries to the files of their months; returns the files' names once all is on disk.
pub(super) fn append(folder: &Path, entries: &[Exported]) -> Result<Vec<String>> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for entry in entries {
        texts
            .entry(entry.file())
            .or_default()
            .push_str(&entry.line());
    }
    for (name, text) in &texts {
        let path = folder.join(name);
        append_to(&path, text).map_err(Error::file("write", &path))?;
    }
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::file("write", folder))?;
    Ok(texts.into_keys().collect())
}

fn append_to(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    // A line that a crash cut short must not spoil the next.
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
