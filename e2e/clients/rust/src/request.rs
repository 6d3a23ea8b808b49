//! What is asked, and what is answered.

use std::path::PathBuf;

use serde::Deserialize;

/// One line of input.
#[derive(Deserialize)]
pub struct Request {
    pub op: String,
    #[serde(default)]
    pub sql: String,
    pub between: Option<String>,
    pub to: Option<Login>,
    #[serde(flatten)]
    pub login: Login,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub socket: Option<String>,
    pub tls: Option<String>,
    pub ca: Option<PathBuf>,
}

/// Who.
#[derive(Clone, Deserialize)]
pub struct Login {
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    pub password: String,
    #[serde(default)]
    pub database: String,
}

pub type Rows = Vec<Vec<Option<String>>>;

/// What went wrong; the code is the server's.
pub struct Failure {
    pub code: u16,
    pub message: String,
}

impl Failure {
    pub fn new(error: impl std::fmt::Display) -> Self {
        Self {
            code: 0,
            message: error.to_string(),
        }
    }
}

impl Request {
    pub fn tls(&self) -> &str {
        self.tls.as_deref().unwrap_or("usual")
    }
}

/// The version that the lock file holds.
pub fn version(driver: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let start = format!("name = \"{driver}\"\nversion = \"");
    let found = lock
        .split_once(&start)
        .and_then(|(_, rest)| rest.split_once('"'));
    found.map_or("unknown", |(version, _)| version).to_owned()
}
