//! What flags may not say together, and single values that are checked.

use daemon::environment::Environment;
use daemon::settings::Complaints;
use transport::socket::Proxies;

use crate::settings::Settings;

/// Flags that contradict each other, as in Google's proxy.
pub(super) fn exclusive(settings: &Settings, complaints: &mut Complaints) {
    let pairs = [
        (
            settings.address.is_some() && settings.unix_socket.is_some(),
            "address",
            "unix-socket",
        ),
        (
            settings.port.is_some() && settings.unix_socket.is_some(),
            "port",
            "unix-socket",
        ),
        (
            settings.private_ip == Some(true) && settings.auto_ip == Some(true),
            "private-ip",
            "auto-ip",
        ),
        (
            settings.private_ip == Some(true) && settings.psc == Some(true),
            "private-ip",
            "psc",
        ),
        (
            settings.psc == Some(true) && settings.auto_ip == Some(true),
            "psc",
            "auto-ip",
        ),
        (
            settings.sqladmin_api_endpoint.is_some() && settings.universe_domain.is_some(),
            "sqladmin-api-endpoint",
            "universe-domain",
        ),
    ];
    for (both, one, other) in pairs {
        if both {
            complaints.add(one, format!("cannot be given together with {other}"));
        }
    }
}

/// The CA's URL, given or made of the universe's domain.
pub(super) fn endpoint(settings: &Settings, complaints: &mut Complaints) -> Option<String> {
    let Some(domain) = &settings.universe_domain else {
        return settings.sqladmin_api_endpoint.clone();
    };
    let is_name = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !domain.split('.').all(is_name) {
        let problem = format!("expected a domain such as example.com, found {domain:?}");
        complaints.add("universe-domain", problem);
    }
    Some(format!("https://sqladmin.{domain}"))
}

/// Letters, digits and underscores, as Prometheus has them.
pub(super) fn namespace(name: &str) -> Result<String, String> {
    let is_plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_plain && name.starts_with(|first: char| !first.is_ascii_digit()))
        .then(|| name.to_owned())
        .ok_or_else(|| format!("expected letters, digits and underscores, found {name:?}"))
}

/// Which way out is taken, as the variables say that all programs read.
pub(super) fn proxies(environment: &Environment, complaints: &mut Complaints) -> Proxies {
    let read = Proxies::read(|name| environment.get(name));
    read.unwrap_or_else(|wrong| {
        for (variable, problem) in wrong {
            complaints.add(variable, problem);
        }
        Proxies::default()
    })
}
