//! What comes before the runtime: the key file, the ports and the address file, while the program may still be root;
//! then it becomes an ordinary user.

mod files;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use proto::Engine;
use proto::mysql::RsaKey;
use rustix::process::geteuid;
use transport::accept::name_holder;
use transport::authority::credentials::shown;
use transport::authority::{Credentials, CredentialsError};
use transport::tls::PrivateKey;

use crate::backend::Database;
use crate::config::{Config, InstanceConfig};
use crate::error::ServeError;
use crate::material::Files;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// A person's login is no service account, which alone can have role agent.
const USERS_LOGIN: &str = "is a user's login (gcloud auth application-default login); the agent needs the key file of a \
    service account: cloudsql-ca service-accounts create";

/// What [`crate::serve()`] works with.
pub struct Prepared {
    pub(crate) credentials: Credentials,
    pub(crate) root_pem: Option<String>,
    pub(crate) tunnels: TcpListener,
    /// For each instance, its listener for clients that come without cloudsql-proxy, and what its files made.
    pub(crate) instances: Vec<(Option<TcpListener>, Files)>,
    pub(crate) http: Option<TcpListener>,
    pub(crate) key: PrivateKey,
    pub(crate) rsa_key: Option<RsaKey>,
}

impl Prepared {
    /// Where tunnels arrive; with port 0 in the settings this is how to know.
    pub fn tunnel_address(&self) -> Option<SocketAddr> {
        self.tunnels.local_addr().ok()
    }

    /// Where MySQL clients of an instance arrive, in the order of the settings, if it has such a listener.
    pub fn mysql_address(&self, instance: usize) -> Option<SocketAddr> {
        let (listener, _) = self.instances.get(instance)?;
        listener.as_ref()?.local_addr().ok()
    }

    /// Where probes arrive.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref()?.local_addr().ok()
    }
}

fn credentials(config: &Config) -> Result<Credentials, ServeError> {
    let path = &config.credentials_file;
    let read = if config.allow_insecure_key_file {
        Credentials::read(path)
    } else {
        Credentials::read_private(path)
    };
    let problem = match read {
        Ok(Credentials::AuthorizedUser(_)) => USERS_LOGIN.to_owned(),
        Ok(credentials) => return Ok(credentials),
        Err(error @ CredentialsError::Exposed { .. }) => {
            format!("{error}, or say --allow-insecure-key-file")
        }
        Err(error) => error.to_string(),
    };
    let path = shown(path);
    Err(ServeError::Credentials { path, problem })
}

/// Prepares. Call it while the program has one thread, if it is to become another user.
///
/// # Errors
/// [`ServeError`] says what is in the way.
pub fn prepare(config: &Config) -> Result<Prepared, ServeError> {
    let credentials = credentials(config)?;
    let root_pem = config
        .ca_certificate
        .as_deref()
        .map(read_root)
        .transpose()?;
    let tunnels = bind(config.listen)?;
    let http = config.http.map(bind).transpose()?;
    let instances = config.instances.iter().map(instance);
    let instances = instances.collect::<Result<Vec<_>, _>>()?;
    tell(config.address_file.as_deref(), &tunnels)?;
    if let Some(user) = &config.run_as {
        let run_as =
            |error: crate::run_as::RunAsError| ServeError::RunAs(transport::error::chain(&error));
        user.become_it().map_err(run_as)?;
    }
    warn_of_shared_user(config);
    let setup = |what, problem: String| ServeError::Setup { what, problem };
    let key = PrivateKey::generate_p256().map_err(|error| setup("a key", error.to_string()))?;
    let rsa_key = needs_rsa(config)
        .then(RsaKey::generate)
        .transpose()
        .map_err(|error| setup("an RSA key", error.to_string()))?;
    Ok(Prepared {
        credentials,
        root_pem,
        tunnels,
        instances,
        http,
        key,
        rsa_key,
    })
}

fn instance(config: &InstanceConfig) -> Result<(Option<TcpListener>, Files), ServeError> {
    let files = files::read(config)?;
    let Some(direct) = &config.direct else {
        return Ok((None, files));
    };
    let listener = bind(direct.listen)?;
    tell(direct.address_file.as_deref(), &listener)?;
    Ok((Some(listener), files))
}

/// Writes where it listens.
fn tell(path: Option<&Path>, listener: &TcpListener) -> Result<(), ServeError> {
    let (Some(path), Ok(address)) = (path, listener.local_addr()) else {
        return Ok(());
    };
    daemon::address_file::write(path, address).map_err(|source| ServeError::AddressFile {
        path: path.to_owned(),
        source,
    })
}

fn read_root(path: &Path) -> Result<String, ServeError> {
    std::fs::read_to_string(path).map_err(|source| ServeError::Root {
        path: path.to_owned(),
        source,
    })
}

fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let failed = |error| ServeError::Bind {
        address,
        source: name_holder(address, error),
    };
    let listener = TcpListener::bind(address).map_err(failed)?;
    // The standard library's own backlog is short.
    rustix::net::listen(&listener, BACKLOG).map_err(|error| failed(error.into()))?;
    Ok(listener)
}

/// Only databases that hold their leg for secure are spared the RSA exchange, and only there we must answer for them.
fn needs_rsa(config: &Config) -> bool {
    config.instances.iter().any(|instance| {
        matches!(instance.database, Database::Unix(_) | Database::Tls { .. })
            && instance.engine.is_none_or(|engine| engine == Engine::Mysql)
    })
}

/// A database that runs as the same user has, as a rule, an administrator of that name who needs no password.
fn warn_of_shared_user(config: &Config) {
    let own = geteuid().as_raw();
    for instance in &config.instances {
        let Database::Unix(path) = &instance.database else {
            continue;
        };
        if std::fs::metadata(path).is_ok_and(|metadata| metadata.uid() == own) {
            tracing::warn!(
                instance = %instance.wanted,
                database = %instance.database,
                "the agent runs as the database's own user: accounts that log in by their operating system user are open \
                to everybody with a grant; give the agent a user of its own"
            );
        }
    }
}
