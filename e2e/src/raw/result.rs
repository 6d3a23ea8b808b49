//! What commands are answered with.

use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};

use super::Raw;
use super::wish::lenenc;

const COM_QUERY: u8 = 0x03;
const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;
const COM_QUIT: u8 = 0x01;
const MORE_RESULTS: u16 = 0x0008;
const MORE_RESULTS_AT: std::ops::Range<usize> = 0..2;

/// An ERR packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// The number.
    pub code: u16,
    /// The SQLSTATE; empty when there is none.
    pub state: String,
    /// The text.
    pub text: String,
}

impl ServerError {
    /// Reads a payload, if it is an ERR packet.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let rest = payload.strip_prefix(&[0xFF])?;
        let (code, rest) = rest.split_first_chunk()?;
        let (state, text) = match rest.strip_prefix(b"#") {
            Some(rest) if rest.len() >= 5 => rest.split_at(5),
            _ => (&[][..], rest),
        };
        Some(Self {
            code: u16::from_le_bytes(*code),
            state: String::from_utf8_lossy(state).into_owned(),
            text: String::from_utf8_lossy(text).into_owned(),
        })
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {} ({}): {}", self.code, self.state, self.text)
    }
}

impl std::error::Error for ServerError {}

/// One answer; a command with several statements has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done, with this many rows affected.
    Ok(u64),
    /// The server wants this file.
    LocalFile(String),
    /// Rows of texts; what is NULL is `None`.
    Rows(Vec<Vec<Option<Vec<u8>>>>),
    /// Refused.
    Error(ServerError),
}

/// A prepared statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement(u32);

impl Raw {
    /// Runs a statement that has one answer.
    pub fn query(&mut self, sql: &[u8]) -> Result<Answer> {
        let mut answers = self.queries(sql)?;
        let answer = answers.pop().context("no answer")?;
        ensure!(answers.is_empty(), "more answers than one");
        Ok(answer)
    }

    /// Runs a statement that gives one text.
    pub fn text(&mut self, sql: &str) -> Result<String> {
        match self.query(sql.as_bytes())? {
            Answer::Rows(rows) => match rows.as_slice() {
                [row] => match row.as_slice() {
                    [Some(text)] => Ok(String::from_utf8_lossy(text).into_owned()),
                    other => bail!("a row of {} fields", other.len()),
                },
                other => bail!("{} rows", other.len()),
            },
            other => bail!("{sql}: {other:?}"),
        }
    }

    /// Runs a statement and reads all its answers.
    pub fn queries(&mut self, sql: &[u8]) -> Result<Vec<Answer>> {
        self.command(&[&[COM_QUERY], sql].concat())?;
        self.answers()
    }

    /// Reads the answers to a statement.
    pub fn answers(&mut self) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        loop {
            let (answer, more) = self.answer(false)?;
            answers.push(answer);
            if !more {
                return Ok(answers);
            }
        }
    }

    /// Takes leave.
    pub fn quit(&mut self) -> Result<()> {
        self.command(&[COM_QUIT])
    }

    /// Prepares a statement.
    pub fn prepare(&mut self, sql: &str) -> Result<Statement> {
        self.command(&[&[COM_STMT_PREPARE], sql.as_bytes()].concat())?;
        let payload = self.expect()?;
        if let Some(error) = ServerError::parse(&payload) {
            return Err(error.into());
        }
        let word = |at: usize| -> Result<usize> {
            let bytes = payload.get(at..at + 2).context("a short answer")?;
            Ok(u16::from_le_bytes(bytes.try_into()?).into())
        };
        let id: [u8; 4] = payload.get(1..5).context("a short answer")?.try_into()?;
        for count in [word(7)?, word(5)?] {
            self.skip_definitions(count)?;
        }
        Ok(Statement(u32::from_le_bytes(id)))
    }

    /// Executes it with one parameter of bytes; it gives rows of texts.
    pub fn execute(&mut self, statement: Statement, parameter: &[u8]) -> Result<Answer> {
        const BLOB: u8 = 0xFC;
        let mut payload = vec![COM_STMT_EXECUTE];
        payload.extend_from_slice(&statement.0.to_le_bytes());
        // No cursor, one round, nothing is NULL, types follow.
        payload.extend_from_slice(&[0, 1, 0, 0, 0, 0, 1, BLOB, 0]);
        payload.extend_from_slice(&lenenc(parameter.len()));
        payload.extend_from_slice(parameter);
        self.command(&payload)?;
        drop(payload);
        let (answer, more) = self.answer(true)?;
        ensure!(!more, "more answers than one");
        Ok(answer)
    }

    fn skip_definitions(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            self.expect()?;
        }
        if count > 0 && !self.deprecate_eof {
            let end = self.expect()?;
            ensure!(is_end(&end, false), "no EOF behind the definitions");
        }
        Ok(())
    }

    fn answer(&mut self, binary: bool) -> Result<(Answer, bool)> {
        let first = self.expect()?;
        if let Some(error) = ServerError::parse(&first) {
            return Ok((Answer::Error(error), false));
        }
        match first.split_first() {
            Some((0x00, rest)) => {
                let mut rest = rest;
                let affected = length(&mut rest)?;
                length(&mut rest)?;
                Ok((Answer::Ok(affected), more_results(rest)))
            }
            Some((0xFB, name)) => {
                let name = String::from_utf8_lossy(name).into_owned();
                Ok((Answer::LocalFile(name), false))
            }
            _ => {
                let count = length(&mut first.as_slice())?;
                self.skip_definitions(usize::try_from(count)?)?;
                self.rows(usize::try_from(count)?, binary)
            }
        }
    }

    fn rows(&mut self, columns: usize, binary: bool) -> Result<(Answer, bool)> {
        let mut rows = Vec::new();
        loop {
            let payload = self.expect()?;
            if let Some(error) = ServerError::parse(&payload) {
                return Ok((Answer::Error(error), false));
            }
            if is_end(&payload, self.deprecate_eof) {
                let mut rest = payload.get(1..).unwrap_or_default();
                if self.deprecate_eof {
                    length(&mut rest)?;
                    length(&mut rest)?;
                } else {
                    rest = rest.get(2..).unwrap_or_default();
                }
                return Ok((Answer::Rows(rows), more_results(rest)));
            }
            let header = if binary { 1 + (columns + 9) / 8 } else { 0 };
            rows.push(fields(payload.get(header..).context("a short row")?)?);
        }
    }
}

/// The packet behind the last row or definition.
fn is_end(payload: &[u8], deprecate_eof: bool) -> bool {
    payload.first() == Some(&0xFE)
        && (payload.len() < 9 || deprecate_eof && payload.len() < 0xFF_FFFF)
}

fn more_results(status: &[u8]) -> bool {
    let bytes = status
        .get(MORE_RESULTS_AT)
        .and_then(|bytes| bytes.try_into().ok());
    bytes.is_some_and(|bytes| u16::from_le_bytes(bytes) & MORE_RESULTS != 0)
}

fn fields(mut rest: &[u8]) -> Result<Vec<Option<Vec<u8>>>> {
    let mut fields = Vec::new();
    while let Some((first, behind)) = rest.split_first() {
        if *first == 0xFB {
            fields.push(None);
            rest = behind;
            continue;
        }
        let size = usize::try_from(length(&mut rest)?)?;
        let (field, behind) = rest.split_at_checked(size).context("a short row")?;
        fields.push(Some(field.to_vec()));
        rest = behind;
    }
    Ok(fields)
}

/// Takes a length off the front.
fn length(rest: &mut &[u8]) -> Result<u64> {
    let (first, behind) = rest.split_first().context("no length")?;
    let size = match first {
        0xFC => 2,
        0xFD => 3,
        0xFE => 8,
        short => {
            *rest = behind;
            return Ok((*short).into());
        }
    };
    let (bytes, behind) = behind.split_at_checked(size).context("half a length")?;
    *rest = behind;
    let mut whole = [0; 8];
    for (to, from) in whole.iter_mut().zip(bytes) {
        *to = *from;
    }
    Ok(u64::from_le_bytes(whole))
}
