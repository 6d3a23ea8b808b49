//! Flags of version 1 of Google's proxy, with what says the same now.

/// Each flag that has another name now, or none. Those that differ by underscores alone need no line.
const FLAGS: [(&str, &str); 17] = [
    ("credential_file", "is now --credentials-file=FILE"),
    ("dir", "is now --unix-socket=DIR"),
    (
        "ip_address_types",
        "is now --private-ip for PRIVATE, and --auto-ip for both; PUBLIC is the default",
    ),
    ("host", "is now --sqladmin-api-endpoint=URL"),
    ("term_timeout", "is now --max-sigterm-delay=DURATION"),
    ("use_http_health_check", "is now --health-check"),
    (
        "health_check_port",
        "is now --http-port=PORT, with --health-check",
    ),
    (
        "verbose",
        "is now --debug-logs; --quiet is for --verbose=false",
    ),
    ("log_debug_stdout", "is always so: leave it out"),
    (
        "check_region",
        "is not needed, the CA names the region: leave it out",
    ),
    ("refresh_config_throttle", "is not needed: leave it out"),
    (
        "fd_rlimit",
        "is the system's to set: ulimit -n, or LimitNOFILE of the unit",
    ),
    (
        "projects",
        "looks for instances, which this program does not: name them, as in p:r:i",
    ),
    (
        "instances_metadata",
        "is not supported: name the instances, as in p:r:i",
    ),
    (
        "enable_iam_login",
        "is not supported: use the database user's own password",
    ),
    (
        "fuse_tmp",
        "belongs to -fuse, which is not supported: leave it out",
    ),
    (
        "fuse-tmp",
        "belongs to -fuse, which is not supported: leave it out",
    ),
];

/// Advice for a flag of version 1.
pub(crate) fn advice(name: &str, value: Option<&str>) -> Option<String> {
    if name == "instances" {
        let instances = value.unwrap_or("p:r:i=tcp:3306");
        let now: Vec<String> = instances
            .split(',')
            .map(|one| instance(one.trim()))
            .collect();
        let now = now.join(" ");
        return Some(format!(
            "is of version 1: instances are arguments now, with parameters behind a question mark: {now}"
        ));
    }
    let (_, now) = FLAGS.iter().find(|(known, _)| *known == name)?;
    Some(format!("is of version 1 and {now}"))
}

/// `p:r:i=tcp:3306` as it is written now.
pub(crate) fn instance(text: &str) -> String {
    let Some((name, place)) = text.split_once('=') else {
        return text.to_owned();
    };
    let query = match place.split_once(':') {
        Some(("unix", path)) => format!("unix-socket-path={path}"),
        Some((_, place)) => match place.rsplit_once(':') {
            Some((address, port)) => format!("address={address}&port={port}"),
            None => format!("port={place}"),
        },
        None => format!("port={place}"),
    };
    format!("{name}?{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_of_version_1_is_written_as_it_is_now() {
        for (then, now) in [
            ("p:r:i", "p:r:i"),
            ("p:r:i=tcp:3306", "p:r:i?port=3306"),
            ("p:r:i=tcp:0.0.0.0:3306", "p:r:i?address=0.0.0.0&port=3306"),
            ("p:r:i=unix:/run/db", "p:r:i?unix-socket-path=/run/db"),
            ("p:r:i=3306", "p:r:i?port=3306"),
        ] {
            assert_eq!(instance(then), now);
        }
    }
}
