//! The programs of `e2e/clients`: one JSON request a line in, one JSON answer a line out.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::clients::{Answer, SqlError};
use crate::paths::{client_program, installed};

/// More than any operation's own limit.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running driver program. What it holds lives from one request to the next. Killed when dropped.
pub struct Driver {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<std::io::Result<String>>,
    complaints: File,
}

impl Driver {
    /// The Python driver of this name.
    pub fn python(name: &str) -> Result<Self> {
        Self::python_with(name, |_| {})
    }

    /// The same in an environment that `prepare` adds to.
    pub fn python_with(name: &str, prepare: impl FnOnce(&mut Command)) -> Result<Self> {
        let mut command = Command::new(installed("venv/bin/python")?);
        prepare(command.arg(client_program("python/client.py")).arg(name));
        Self::start(&mut command)
    }

    /// The Node driver of this name.
    pub fn node(name: &str) -> Result<Self> {
        Self::node_with(name, |_| {})
    }

    /// The Node driver of this name in an environment that `prepare` adds to.
    pub fn node_with(name: &str, prepare: impl FnOnce(&mut Command)) -> Result<Self> {
        let mut command = Command::new(installed("bin/node")?);
        command
            .env("NODE_PATH", installed("node/node_modules")?)
            .arg(client_program("node/client.js"))
            .arg(name);
        prepare(&mut command);
        Self::start(&mut command)
    }

    /// go-sql-driver, and Google's Go connector.
    pub fn go() -> Result<Self> {
        Self::go_with(|_| {})
    }

    /// The same in an environment that `prepare` adds to.
    pub fn go_with(prepare: impl FnOnce(&mut Command)) -> Result<Self> {
        let mut command = Command::new(installed("bin/go-client")?);
        prepare(&mut command);
        Self::start(&mut command)
    }

    /// `mysqli` or `pdo` of PHP.
    pub fn php(name: &str) -> Result<Self> {
        Self::start(
            Command::new("php")
                .arg(client_program("php/client.php"))
                .arg(name),
        )
    }

    /// `DBD::mysql` or `DBD::MariaDB` of Perl.
    pub fn perl(name: &str) -> Result<Self> {
        Self::start(
            Command::new("perl")
                .arg(client_program("perl/client.pl"))
                .arg(name),
        )
    }

    /// Connector/J of `mysql` or `mariadb`, or `mariadb-2` before 3.0.
    pub fn java(name: &str) -> Result<Self> {
        let folder = installed("java")?;
        let old = if name == "mariadb-2" { "/old" } else { "" };
        let jars = format!("{0}/classes:{0}{old}/*", folder.display());
        // Short-lived: it need not optimise much.
        Self::start(
            Command::new("java")
                .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &jars])
                .args(["Client", name]),
        )
    }

    /// `sqlx` or `mysql_async`.
    pub fn rust(name: &str) -> Result<Self> {
        Self::start(Command::new(installed("bin/rust-client")?).arg(name))
    }

    fn start(command: &mut Command) -> Result<Self> {
        let complaints = tempfile::tempfile()?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone()?)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let requests = child.stdin.take().context("the driver's input")?;
        let output = child.stdout.take().context("the driver's output")?;
        let (sender, answers) = channel();
        // Ends with the driver's output, so with the driver.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            requests,
            answers,
            complaints,
        })
    }

    /// Asks for an operation against a target; members of `operation` win.
    pub fn ask(&mut self, target: &Value, operation: &Value) -> Result<Answer> {
        let mut request = target.as_object().context("a target is an object")?.clone();
        request.extend(
            operation
                .as_object()
                .context("an operation is an object")?
                .clone(),
        );
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        let answer = self.exchange(&line);
        let answer = answer.with_context(|| format!("the driver said: {}", self.complaints()))?;
        read(&answer).with_context(|| format!("the driver's answer {answer}"))
    }

    fn exchange(&mut self, line: &[u8]) -> Result<String> {
        self.requests.write_all(line).context("asking the driver")?;
        let answer = self.answers.recv_timeout(PATIENCE);
        Ok(answer.context("the driver does not answer")??)
    }

    /// What it wrote to its standard error.
    fn complaints(&mut self) -> String {
        let mut text = String::new();
        let read = self
            .complaints
            .rewind()
            .and_then(|()| self.complaints.read_to_string(&mut text));
        read.map_or_else(|error| error.to_string(), |_| text)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Gone already is as good; a driver holds nothing that outlives its process.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

#[derive(Deserialize)]
struct Line {
    ok: bool,
    #[serde(default)]
    rows: Option<Vec<Vec<Option<String>>>>,
    #[serde(default)]
    code: u32,
    #[serde(default)]
    message: String,
}

fn read(line: &str) -> Result<Answer> {
    let line: Line = serde_json::from_str(line)?;
    match line {
        Line { ok: true, rows, .. } => Ok(Ok(rows.unwrap_or_default())),
        Line { message, .. } if message.is_empty() => bail!("neither rows nor an error"),
        Line { code, message, .. } => Ok(Err(SqlError { code, message })),
    }
}
