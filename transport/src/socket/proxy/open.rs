//! Asking a proxy for the way: exact reads, so that nothing of what comes behind its answer is taken.

use std::io;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::exempt::bare;
use super::{Login, Proxy, Scheme};

/// Longest head of an answer to CONNECT.
const MAX_HEAD: usize = 8 * 1024;
/// Most that is told of what a proxy wrote.
const MAX_TOLD: usize = 120;

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What a proxy said, or how it failed.
#[derive(Debug)]
pub(super) enum Refused {
    /// Of this host; another address may do.
    Host(String),
    /// Of itself, or of us.
    Proxy(String),
}

/// Opens the way to host and port. With SOCKS5, what is an address is told as one.
pub(super) async fn run(
    stream: &mut TcpStream,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<(), Refused> {
    let login = proxy.login();
    match proxy.scheme {
        Scheme::Http => {
            let connected = connect(stream, login, host, port).await;
            connected.map_err(Refused::Proxy)
        }
        Scheme::Https => Err(Refused::Proxy(super::TLS_TO_A_PROXY.to_owned())),
        Scheme::Socks5 | Scheme::Socks5h => {
            greet(stream, login).await.map_err(Refused::Proxy)?;
            let address = bare(host).parse().ok();
            let asked = request(stream, address, host, port).await;
            match asked.map_err(Refused::Proxy)? {
                0 => Ok(()),
                reply => {
                    let asked = address.map_or_else(String::new, |ip| format!(" of {ip}"));
                    let said = format!("it says{asked}: {}", reason(reply));
                    Err(Refused::Host(said))
                }
            }
        }
    }
}

fn broken(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
        _ => format!("the connection to it failed: {error}"),
    }
}

async fn exact<const N: usize>(stream: &mut TcpStream) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(broken)?;
    Ok(bytes)
}

/// RFC 1928 section 3, RFC 1929.
async fn greet(stream: &mut TcpStream, login: Option<Login>) -> Result<(), String> {
    let methods: &[u8] = match login {
        Some(_) => &[VERSION, 2, NO_LOGIN, USER_AND_PASSWORD],
        None => &[VERSION, 1, NO_LOGIN],
    };
    stream.write_all(methods).await.map_err(broken)?;
    let [version, method] = exact(stream).await?;
    if version != VERSION {
        return Err("it does not speak SOCKS5".to_owned());
    }
    match (method, login) {
        (NO_LOGIN, _) => Ok(()),
        (USER_AND_PASSWORD, Some(login)) => {
            let mut bytes = Zeroizing::new(vec![1]);
            for text in [&login.user, &login.password] {
                bytes.push(length(text)?);
                bytes.extend_from_slice(text.as_bytes());
            }
            stream.write_all(&bytes).await.map_err(broken)?;
            match exact(stream).await? {
                [_, 0] => Ok(()),
                [_, _] => Err("it does not accept the user and password in its URL".to_owned()),
            }
        }
        (_, None) => Err("it wants a user and a password: write them into its URL".to_owned()),
        (_, Some(_)) => Err("it wants neither no login nor one by user and password".to_owned()),
    }
}

fn length(text: &str) -> Result<u8, String> {
    u8::try_from(text.len()).map_err(|_| "it takes no text beyond 255 bytes".to_owned())
}

/// RFC 1928 sections 4 to 6: the number of the proxy's reply, 0 when the way is open.
async fn request(
    stream: &mut TcpStream,
    address: Option<IpAddr>,
    host: &str,
    port: u16,
) -> Result<u8, String> {
    let mut bytes = vec![VERSION, 1, 0];
    match address {
        Some(IpAddr::V4(ip)) => {
            bytes.push(IPV4);
            bytes.extend(ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            bytes.push(IPV6);
            bytes.extend(ip.octets());
        }
        None => {
            bytes.extend([NAME, length(host)?]);
            bytes.extend_from_slice(host.as_bytes());
        }
    }
    bytes.extend(port.to_be_bytes());
    stream.write_all(&bytes).await.map_err(broken)?;
    let [version, reply, _, kind] = exact(stream).await?;
    if version != VERSION {
        return Err("it does not speak SOCKS5".to_owned());
    }
    if reply != 0 {
        return Ok(reply);
    }
    let rest = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(stream.read_u8().await.map_err(broken)?),
        _ => return Err("it does not speak SOCKS5".to_owned()),
    };
    let mut address = vec![0; rest + 2];
    stream.read_exact(&mut address).await.map_err(broken)?;
    Ok(reply)
}

const fn reason(reply: u8) -> &'static str {
    match reply {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "expired on the way",
        7 => "command not supported",
        8 => "kind of address not supported",
        _ => "a number that SOCKS5 does not have",
    }
}

/// RFC 9110 section 9.3.6.
async fn connect(
    stream: &mut TcpStream,
    login: Option<Login>,
    host: &str,
    port: u16,
) -> Result<(), String> {
    if host.bytes().any(|byte| byte <= b' ' || byte == 0x7F) {
        return Err("the host's name has characters that no proxy can be told".to_owned());
    }
    let target = super::super::dial::target(host, port);
    let mut head = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
    if let Some(Login { user, password }) = login {
        let plain = Zeroizing::new(format!("{}:{}", *user, *password));
        let encoded = Zeroizing::new(STANDARD.encode(plain.as_bytes()));
        head.push_str("Proxy-Authorization: Basic ");
        head.push_str(&encoded);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.map_err(broken)?;
    let answer = head_of_answer(stream).await?;
    let line = answer.split(|byte| *byte == b'\r').next();
    let line = String::from_utf8_lossy(line.unwrap_or_default());
    let mut words = line.split(' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    match words.next().and_then(|word| word.parse::<u16>().ok()) {
        Some(200..=299) if is_http => Ok(()),
        Some(407) if is_http => Err(
            "it does not accept the user and password in its URL, or wants them there".to_owned(),
        ),
        Some(_) if is_http => {
            let told: String = line
                .chars()
                .filter(|c| !c.is_control())
                .take(MAX_TOLD)
                .collect();
            Err(format!("it says: {told}"))
        }
        _ => Err("it does not speak HTTP".to_owned()),
    }
}

/// To the empty line and not a byte further: what follows is the tunnel's.
async fn head_of_answer(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(format!("its answer is longer than {MAX_HEAD} bytes"));
        }
        head.push(stream.read_u8().await.map_err(broken)?);
    }
    Ok(head)
}
