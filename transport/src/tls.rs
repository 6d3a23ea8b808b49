//! TLS: the only place with rustls types. Both sides of the tunnel, and the judges of certificates.

mod alert;
mod client;
mod database;
mod error;
mod found;
mod https;
mod key;
mod local;
mod material;
mod names;
mod provider;
mod read_ahead;
mod server;
mod verify;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::socket::Socket;
pub use alert::Alert;
pub use client::{Offer, ServerIdentity, TlsClient};
pub use database::{
    Authorities, DatabaseStream, DatabaseTls, DatabaseTrust, Fingerprint, InvalidFingerprint,
};
pub use error::{CertificateProblem, MaterialError, TlsError};
pub use https::HttpsServer;
pub use key::PrivateKey;
pub use local::{LocalStream, LocalTls};
pub use material::{Material, TrustRoots};
pub use provider::{install_provider, provider};
use read_ahead::ReadAhead;
pub use server::{ClientIdentity, ServedInstances, TlsPeer, TlsServer};
pub use verify::{verify_client_certificate, verify_server_certificate};

/// Which of the two dialects of the tunnel a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Ours: `csql/1` was negotiated, one frame each way comes first.
    Framed,
    /// Google's: the database's bytes come first.
    Bare,
}

impl Dialect {
    fn negotiated(alpn: Option<&[u8]>) -> Self {
        if alpn == Some(proto::ALPN) {
            Self::Framed
        } else {
            Self::Bare
        }
    }
}

/// An encrypted connection, either side of it. Shutting it down says so to the peer (close_notify).
#[derive(Debug)]
pub struct TlsStream(Box<tokio_rustls::TlsStream<ReadAhead<Socket>>>);

impl TlsStream {
    /// The application protocol that was negotiated, if any was.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.get_ref().1.alpn_protocol()
    }
}

impl From<tokio_rustls::server::TlsStream<ReadAhead<Socket>>> for TlsStream {
    fn from(stream: tokio_rustls::server::TlsStream<ReadAhead<Socket>>) -> Self {
        Self(Box::new(stream.into()))
    }
}

impl From<tokio_rustls::client::TlsStream<ReadAhead<Socket>>> for TlsStream {
    fn from(stream: tokio_rustls::client::TlsStream<ReadAhead<Socket>>) -> Self {
        Self(Box::new(stream.into()))
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.get_mut().0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.get_mut().0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
