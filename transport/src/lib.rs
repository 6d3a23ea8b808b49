//! Sockets, TLS, accept loop, copy loop, and the CA's API as a caller sees it.
