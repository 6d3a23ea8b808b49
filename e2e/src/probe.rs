//! A health probe as an orchestrator would send it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

const TIMEOUT: Duration = Duration::from_secs(5);

/// The status code of `GET path`; an error when nothing answers.
pub fn status(address: SocketAddr, path: &str) -> Result<u16> {
    let answer = get(address, path)?;
    let code = answer.split(' ').nth(1).context("no status line")?;
    code.parse().with_context(|| format!("the status {code}"))
}

/// What `GET path` gives, behind the headers.
pub fn body(address: SocketAddr, path: &str) -> Result<String> {
    let answer = get(address, path)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
    Ok(body.to_owned())
}

fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Whether something accepts connections there.
pub fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, TIMEOUT).is_ok()
}
