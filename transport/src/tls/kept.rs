//! What a tunnel that is kept ready needs when it is used at last, by another task than the one that made it.

use std::io;

use super::TlsStream;
use crate::socket::TcpOptions;

impl TlsStream {
    /// Has the current runtime watch it, in place of the one that did: it wakes this one's tasks only from here on.
    ///
    /// # Errors
    /// When it cannot be watched here.
    pub fn watch_here(&mut self) -> io::Result<()> {
        self.socket_mut().watch_here()
    }

    /// Sets the options of the TCP leg below.
    ///
    /// # Errors
    /// When the kernel refuses one of them.
    pub fn tune(&mut self, options: &TcpOptions) -> io::Result<()> {
        self.socket_mut().tune(options)
    }
}
