use proto::mysql::InnerTls;

use super::*;

fn good() -> Settings {
    Settings {
        credentials_file: Some("agent.json".into()),
        instance: vec!["p:r:i".into()],
        database: Some("tcp:127.0.0.1:3306".into()),
        ..Settings::default()
    }
}

fn complaints(settings: Settings, root: bool) -> Vec<String> {
    let complaints = Config::new(settings, root).err().unwrap_or_default();
    complaints
        .iter()
        .map(|complaint| format!("{}: {}", complaint.key, complaint.problem))
        .collect()
}

#[test]
fn little_must_be_said_and_the_rest_has_defaults() {
    let config = Config::new(good(), true).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:3307");
    assert_eq!(config.http, None);
    assert_eq!(config.ceilings.sessions_per_account, 1000);
    assert_eq!(config.drain.as_secs(), 25);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let told = complaints(
        Settings {
            credentials_file: None,
            instance: vec!["P".into(), "db1?engine=x".into()],
            database: Some("tls:x".into()),
            run_as: Some("root".into()),
            max_connections: Some(0),
            ..good()
        },
        false,
    );
    for expected in [
        "credentials-file: missing",
        "instance P: ",
        "instance db1?engine=x: engine: ",
        "database: a database has a port: say tcp:HOST:3306",
        "run-as: --run-as names root",
        "max-connections: expected 1 or more, found 0",
    ] {
        let found = told
            .iter()
            .filter(|line| line.starts_with(expected))
            .count();
        assert_eq!(found, 1, "{expected:?} in {told:#?}");
    }
    assert_eq!(told.len(), 6, "{told:#?}");
}

#[test]
fn no_instance_is_a_complaint_and_so_is_the_same_one_twice() {
    let none = Settings {
        instance: vec![],
        ..good()
    };
    assert_eq!(complaints(none, false).len(), 1);
    let twice = Settings {
        instance: vec!["p:r:i".into(), "p:r:i?engine=tcp".into()],
        ..good()
    };
    assert!(complaints(twice, false)[0].ends_with("named twice"));
}

#[test]
fn root_does_not_dial_a_unix_socket_unless_it_stops_being_root() {
    let unix = || Settings {
        database: Some("unix:/run/mysqld/mysqld.sock".into()),
        ..good()
    };
    let told = complaints(unix(), true);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("--run-as USER"), "{told:?}");
    assert!(complaints(unix(), false).is_empty());
    let dropping = Settings {
        run_as: Some("65534:65534".into()),
        ..unix()
    };
    assert!(complaints(dropping, true).is_empty());
}

#[test]
fn a_database_on_another_machine_must_be_asked_for() {
    let remote = || Settings {
        database: Some("tcp:10.0.0.5:3306".into()),
        ..good()
    };
    assert!(complaints(remote(), false)[0].contains("--allow-remote-database"));
    let allowed = Settings {
        allow_remote_database: Some(true),
        ..remote()
    };
    assert!(complaints(allowed, false).is_empty());
}

#[test]
fn the_http_listener_is_loopback_and_comes_when_it_is_asked_for() {
    let http = |settings| Config::new(settings, false).unwrap().http;
    let port = Settings {
        http_port: Some(9100),
        ..good()
    };
    assert_eq!(http(port), Some("127.0.0.1:9100".parse().unwrap()));
    let check = Settings {
        health_check: Some(true),
        http_address: Some("0.0.0.0".parse().unwrap()),
        ..good()
    };
    assert_eq!(http(check), Some("0.0.0.0:9090".parse().unwrap()));
    let off = Settings {
        health_check: Some(false),
        http_port: Some(9100),
        ..good()
    };
    assert_eq!(http(off), None);
}

#[test]
fn a_file_has_the_flags_names_and_its_mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write(
        "credentials-file = 'a.json'\ninstance = ['p:r:i', 'db2?engine=tcp']\ndatabase = 'tcp:[::1]:3306'\ndrain = '1m'\nmax-connections = 7\n",
    );
    let flags = Settings {
        max_connections: Some(9),
        ..Settings::default()
    };
    let config = Config::new(daemon::settings::load(flags, Some(&path)).unwrap(), false).unwrap();
    assert_eq!(config.instances.len(), 2);
    assert_eq!((config.ceilings.sessions, config.drain.as_secs()), (9, 60));
    write("listne = '0.0.0.0:1'\ndrain = 'soon'\n");
    let told = daemon::settings::load(Settings::default(), Some(&path)).unwrap_err();
    assert_eq!(told.iter().count(), 2);
    assert!(told.to_string().contains("did you mean listen?"));
}

#[test]
fn a_direct_listener_asks_for_tls_unless_told_otherwise_and_belongs_to_one_instance() {
    let listen = || Some("0.0.0.0:3306".parse().unwrap());
    let config = Config::new(
        Settings {
            mysql_listen: listen(),
            ..good()
        },
        false,
    );
    let direct = config.unwrap().instances[0].direct.clone().unwrap();
    assert_eq!(direct.tls, InnerTls::Require);
    assert_eq!(direct.certificates, Certificates::Off);
    let several = complaints(
        Settings {
            mysql_listen: listen(),
            instance: vec!["i".into(), "j".into()],
            ..good()
        },
        false,
    );
    assert!(several[0].contains("?mysql-listen="), "{several:?}");
    let own = Settings {
        instance: vec!["i?mysql-listen=127.0.0.1:1".into(), "j".into()],
        ..good()
    };
    let config = Config::new(own, false).unwrap();
    let listening = config.instances.iter().map(|one| one.direct.is_some());
    assert_eq!(listening.collect::<Vec<_>>(), [true, false]);
}

#[test]
fn what_does_not_fit_a_direct_listener_is_told() {
    let told = |tls: &str, certificates: &str, engine: Option<&str>| {
        complaints(
            Settings {
                mysql_listen: Some("0.0.0.0:3306".parse().unwrap()),
                mysql_listen_tls: Some(tls.into()),
                mysql_listen_client_certificate: Some(certificates.into()),
                engine: engine.map(str::to_owned),
                ..good()
            },
            false,
        )
    };
    assert!(told("require", "required", None).is_empty());
    assert!(told("allow", "optional", None).is_empty());
    assert!(told("allow", "required", None)[0].contains("--mysql-listen-tls require"));
    assert!(told("off", "optional", None)[0].contains("allow or require"));
    assert_eq!(told("maybe", "perhaps", None).len(), 2);
    assert!(told("off", "off", Some("postgres"))[0].contains("only MySQL and MariaDB"));
    let nothing = complaints(
        Settings {
            mysql_listen_tls: Some("off".into()),
            mysql_address_file: Some("x".into()),
            ..good()
        },
        false,
    );
    assert_eq!(nothing.len(), 2);
    let listener = Settings {
        instance: vec!["i?mysql-listen=127.0.0.1:1".into(), "j".into()],
        mysql_listen_tls: Some("off".into()),
        ..good()
    };
    assert!(complaints(listener, false).is_empty());
}

#[test]
fn root_and_a_direct_listener_on_a_unix_socket_leg_are_no_exception() {
    let settings = Settings {
        database: Some("unix:/run/mysqld/mysqld.sock".into()),
        mysql_listen: Some("0.0.0.0:3306".parse().unwrap()),
        ..good()
    };
    assert!(complaints(settings, true)[0].contains("--run-as USER"));
}

/// Settings of a database behind TLS.
fn tls() -> Settings {
    Settings {
        database: Some("tls:db.example:3306".into()),
        ..good()
    }
}

#[test]
fn tls_to_a_database_needs_to_know_whom_to_believe() {
    let told = complaints(tls(), false);
    assert_eq!(told.len(), 1);
    for part in [
        "--database-ca",
        "--database-fingerprint",
        "openssl s_client -starttls mysql -connect db.example:3306",
    ] {
        assert!(told[0].contains(part), "{told:?}");
    }
    let ca = Settings {
        database_ca: Some("ca.pem".into()),
        ..tls()
    };
    let config = Config::new(ca, false).unwrap();
    assert_eq!(config.instances[0].leg.ca, Some("ca.pem".into()));
    let fingerprint = |text: String| Settings {
        database_fingerprint: Some(text),
        ..tls()
    };
    let colons = vec!["AB"; 32].join(":");
    assert!(complaints(fingerprint(format!("sha256:{colons}")), false).is_empty());
    assert_eq!(complaints(fingerprint(colons), false).len(), 1);
}

#[test]
fn words_on_certificates_that_have_no_effect_are_complained_about() {
    let plain = complaints(
        Settings {
            database_ca: Some("ca.pem".into()),
            ..good()
        },
        false,
    );
    assert!(plain[0].contains("without TLS"), "{plain:?}");
    let half = complaints(
        Settings {
            database_ca: Some("ca.pem".into()),
            database_client_key: Some("key.pem".into()),
            ..tls()
        },
        false,
    );
    assert!(half[0].contains("come together"), "{half:?}");
    let both = complaints(
        Settings {
            database_ca: Some("ca.pem".into()),
            database_fingerprint: Some(format!("sha256:{}", "ab".repeat(32))),
            ..tls()
        },
        false,
    );
    assert!(both[0].contains("say one of them"), "{both:?}");
    let engine = complaints(
        Settings {
            database_ca: Some("ca.pem".into()),
            engine: Some("tcp".into()),
            ..tls()
        },
        false,
    );
    assert!(engine[0].contains("for MySQL and MariaDB"), "{engine:?}");
}
