//! What an operator says of the listener for MySQL clients that come without cloudsql-proxy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use daemon::settings::Complaints;
use proto::Engine;
use proto::mysql::InnerTls;

use super::InstanceConfig;
use crate::settings::Settings;

/// Logins in progress on one listener: each holds a place among the database's `max_connections`.
const MAX_LOGINS: usize = 64;

/// A listener for one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectConfig {
    /// Where.
    pub(crate) listen: SocketAddr,
    /// Whether TLS is offered.
    pub(crate) tls: InnerTls,
    /// Whether clients show a certificate.
    pub(crate) certificates: Certificates,
    /// Most logins in progress.
    pub(crate) max_logins: usize,
    /// Where to write where it listens.
    pub(crate) address_file: Option<PathBuf>,
}

/// Whether clients show a certificate of the instance's client CA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Certificates {
    /// They are not asked.
    #[default]
    Off,
    /// Who shows one is bound by its grant; who shows none is nobody, and is let in.
    Optional,
    /// Who shows none is not let in.
    Required,
}

/// A text is not one of the modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected off, optional or required")]
pub(crate) struct UnknownCertificates;

impl FromStr for Certificates {
    type Err = UnknownCertificates;

    fn from_str(text: &str) -> Result<Self, UnknownCertificates> {
        match text {
            "off" => Ok(Self::Off),
            "optional" => Ok(Self::Optional),
            "required" => Ok(Self::Required),
            _ => Err(UnknownCertificates),
        }
    }
}

/// What holds for all listeners; where they listen comes from the instances.
pub(super) fn common(settings: &Settings, complaints: &mut Complaints) -> DirectConfig {
    let mut config = DirectConfig {
        listen: SocketAddr::from(([0, 0, 0, 0], 0)),
        tls: InnerTls::Require,
        certificates: Certificates::Off,
        max_logins: super::positive(
            complaints,
            "mysql-listen-max-logins",
            settings.mysql_listen_max_logins,
            MAX_LOGINS,
        ),
        address_file: settings.mysql_address_file.clone(),
    };
    if let Some(text) = &settings.mysql_listen_tls
        && let Some(tls) = complaints.check("mysql-listen-tls", text.parse())
    {
        config.tls = tls;
    }
    let key = "mysql-listen-client-certificate";
    if let Some(text) = &settings.mysql_listen_client_certificate
        && let Some(certificates) = complaints.check(key, text.parse())
    {
        config.certificates = certificates;
    }
    let fits = match config.certificates {
        Certificates::Off => true,
        Certificates::Optional => config.tls != InnerTls::Off,
        Certificates::Required => config.tls == InnerTls::Require,
    };
    if !fits {
        let problem = "certificates are shown in TLS: required needs --mysql-listen-tls require, optional needs allow or require";
        complaints.add(key, problem);
    }
    config
}

/// Complains about listeners that cannot be.
pub(super) fn check(
    settings: &Settings,
    instances: &[InstanceConfig],
    complaints: &mut Complaints,
) {
    if settings.mysql_listen.is_some() && settings.instance.len() > 1 {
        let problem = "says nothing of which instance it is for, and there are several: \
            say ?mysql-listen=ADDRESS:PORT behind the instance's name";
        complaints.add("mysql-listen", problem);
    }
    let mut listening = 0_usize;
    for instance in instances
        .iter()
        .filter(|instance| instance.direct.is_some())
    {
        listening = listening.saturating_add(1);
        if instance
            .engine
            .is_some_and(|engine| engine != Engine::Mysql)
        {
            let problem = "only MySQL and MariaDB have a direct listener: leave mysql-listen out, or say engine mysql";
            complaints.add(format!("instance {}", instance.wanted), problem);
        }
    }
    let said = [
        ("mysql-listen-tls", settings.mysql_listen_tls.is_some()),
        (
            "mysql-listen-client-certificate",
            settings.mysql_listen_client_certificate.is_some(),
        ),
        ("mysql-address-file", settings.mysql_address_file.is_some()),
    ];
    for (key, _) in said.iter().filter(|(_, said)| *said && listening == 0) {
        complaints.add(*key, "there is no direct listener: say --mysql-listen too");
    }
    if settings.mysql_address_file.is_some() && listening > 1 {
        complaints.add("mysql-address-file", "there are several direct listeners");
    }
}
