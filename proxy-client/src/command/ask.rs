//! Asking a program at work: its health server over TCP, or its administrator's socket.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::settings::Settings;

/// Google's defaults.
const HTTP_ADDRESS: &str = "localhost";
const HTTP_PORT: u16 = 9090;
const LOCAL: &str = "127.0.0.1";
const ADMIN_PORT: u16 = 9091;
/// Longest conversation.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer: a line of the table has about 200 bytes.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// Where the program at work is asked.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Door {
    /// Its administrator's socket; goes before HTTP.
    #[arg(long, env = "CSQL_PROXY_ADMIN_SOCKET", value_name = "FILE")]
    admin_socket: Option<PathBuf>,

    /// Where its HTTP listens [default: localhost].
    #[arg(long, env = "CSQL_PROXY_HTTP_ADDRESS", value_name = "HOST")]
    http_address: Option<String>,

    /// And on which port [default: 9090].
    #[arg(long, env = "CSQL_PROXY_HTTP_PORT", value_name = "PORT")]
    http_port: Option<u16>,
}

/// What it answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// It did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// There is nobody.
    #[error("nobody answers at {place}: {problem}")]
    Nobody { place: String, problem: String },
    /// What answers is something else.
    #[error("what answers at {place} is not this program")]
    Stranger { place: String },
}

impl Door {
    /// The same with what was said before the sub-command.
    pub(super) fn below(self, settings: &Settings) -> Self {
        Self {
            admin_socket: self.admin_socket.or_else(|| settings.admin_socket.clone()),
            http_address: self.http_address.or_else(|| settings.http_address.clone()),
            http_port: self.http_port.or(settings.http_port),
        }
    }

    /// The administrator's socket, or else Google's port of this machine.
    pub(super) fn or_port(self, port: Option<u16>) -> Self {
        if self.admin_socket.is_some() {
            return self;
        }
        Self {
            http_address: Some(LOCAL.to_owned()),
            http_port: port.or(Some(ADMIN_PORT)),
            ..self
        }
    }

    /// Only the administrator's socket; `None` when no path is known.
    pub(super) fn admin(self) -> Option<Self> {
        self.admin_socket.is_some().then_some(self)
    }

    fn place(&self) -> String {
        match &self.admin_socket {
            Some(path) => path.display().to_string(),
            None => {
                let host = self.http_address.as_deref().unwrap_or(HTTP_ADDRESS);
                format!("{host}:{}", self.http_port.unwrap_or(HTTP_PORT))
            }
        }
    }

    /// One request, one answer.
    pub(super) async fn ask(&self, method: &str, path: &str) -> Result<Answer, AskError> {
        let nobody = |problem: String| AskError::Nobody {
            place: self.place(),
            problem,
        };
        match tokio::time::timeout(TIMEOUT, self.talk(method, path)).await {
            Ok(Ok(bytes)) => parse(&bytes).ok_or_else(|| AskError::Stranger {
                place: self.place(),
            }),
            Ok(Err(error)) => Err(nobody(error.to_string())),
            Err(_) => Err(nobody("no answer in time".to_owned())),
        }
    }

    async fn talk(&self, method: &str, path: &str) -> std::io::Result<Vec<u8>> {
        if let Some(socket) = &self.admin_socket {
            return exchange(UnixStream::connect(socket).await?, method, path).await;
        }
        let host = self.http_address.as_deref().unwrap_or(HTTP_ADDRESS);
        let port = self.http_port.unwrap_or(HTTP_PORT);
        exchange(TcpStream::connect((host, port)).await?, method, path).await
    }
}

async fn exchange<S>(mut stream: S, method: &str, path: &str) -> std::io::Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Status and body of an HTTP/1 answer that ended with its connection.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer {
        status,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_http_answer_is_an_answer() {
        let answer = parse(b"HTTP/1.1 503 Service Unavailable\r\nx: y\r\n\r\nwhy").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "why"));
        for wrong in [
            &b""[..],
            b"\x4a\x00\x00\x00\x0a9.4.0\0",
            b"HTTP/1.1 ab\r\n\r\n",
        ] {
            assert!(parse(wrong).is_none(), "{wrong:?}");
        }
    }
}
