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
    assert_eq!(config.ceilings.sessions_per_account, 10_000);
    assert_eq!(config.drain.as_secs(), 25);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let told = complaints(
        Settings {
            credentials_file: None,
            instance: vec!["P".into(), "db1?engine=x".into()],
            database: Some("tls:x:1".into()),
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
        "database: tls: is not supported; a database is unix:/PATH or tcp:HOST:PORT",
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
