//! What an operator says of TLS to a database.

use std::path::PathBuf;

use daemon::settings::Complaints;
use proto::Engine;
use transport::tls::Fingerprint;

use super::InstanceConfig;
use crate::backend::Database;
use crate::settings::Settings;

/// What a database's certificate is judged by, and what it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LegConfig {
    /// PEM file of its CA.
    pub(crate) ca: Option<PathBuf>,
    /// Its certificate's.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// The name that its certificate must have.
    pub(crate) name: Option<String>,
    /// PEM files of the certificate that it is shown, and of its key.
    pub(crate) shown: Option<(PathBuf, PathBuf)>,
}

impl LegConfig {
    /// What holds for all databases.
    pub(super) fn common(settings: &Settings, complaints: &mut Complaints) -> Self {
        let certificate = settings.database_client_certificate.clone();
        let shown = certificate.zip(settings.database_client_key.clone());
        if settings.database_client_certificate.is_some() != settings.database_client_key.is_some()
        {
            let problem = "a certificate and its key come together: say --database-client-certificate and --database-client-key";
            complaints.add("database-client-certificate", problem);
        }
        Self {
            ca: settings.database_ca.clone(),
            fingerprint: settings
                .database_fingerprint
                .as_deref()
                .and_then(|text| complaints.check("database-fingerprint", text.parse())),
            name: settings.database_name.clone(),
            shown,
        }
    }

    fn judges(&self) -> bool {
        self.ca.is_some() || self.fingerprint.is_some()
    }
}

/// Complains about legs that are not what the operator takes them for.
pub(super) fn check(
    settings: &Settings,
    instances: &[InstanceConfig],
    complaints: &mut Complaints,
) {
    let mut any_tls = false;
    for instance in instances {
        let leg = &instance.leg;
        let mut complain = |problem: String| {
            complaints.add(format!("instance {}", instance.wanted), problem);
        };
        let Database::Tls { host, port } = &instance.database else {
            continue;
        };
        any_tls = true;
        // A fingerprint that does not parse has been complained about.
        if !leg.judges() && settings.database_fingerprint.is_none() {
            complain(format!(
                "nothing says which certificate to believe: say --database-ca FILE, or --database-fingerprint with what this \
                prints: openssl s_client -starttls mysql -connect {host}:{port} </dev/null | openssl x509 -noout -fingerprint -sha256"
            ));
        }
        if leg.ca.is_some() && leg.fingerprint.is_some() {
            complain("database-ca and database-fingerprint: say one of them".to_owned());
        }
        if instance
            .engine
            .is_some_and(|engine| engine != Engine::Mysql)
        {
            complain(format!(
                "{} is for MySQL and MariaDB: say tcp: or unix:",
                instance.database
            ));
        }
    }
    let plain = instances.iter().find(|instance| {
        !any_tls
            && (instance.leg.judges()
                || instance.leg.name.is_some()
                || instance.leg.shown.is_some())
    });
    if let Some(instance) = plain {
        let problem = format!(
            "{} is reached without TLS, so that no certificate is judged or shown: say tls:HOST:PORT",
            instance.database
        );
        complaints.add(format!("instance {}", instance.wanted), problem);
    }
}
