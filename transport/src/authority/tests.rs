//! The CA's API against a fake CA that answers as each test says.

mod calls;
mod credentials;
mod fake;
mod https;
mod proxies;
mod tokens;
