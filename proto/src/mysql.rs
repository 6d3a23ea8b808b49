//! MySQL's and MariaDB's opening exchange: packets, greeting, handshake response, login.

mod packet;

pub use packet::error_instead_of_greeting;
