//! Settings of all kinds, and what becomes of them.

use clap::Parser as _;

use super::*;

mod forms;
mod listeners;
mod names;
mod sources;

/// A key file that is good enough to be read: the private key is made once.
fn key_file() -> String {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use base64::Engine as _;
    static KEY: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        base64::engine::general_purpose::STANDARD.encode(der.as_ref())
    });
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        *KEY
    );
    serde_json::json!({
        "type": "service_account",
        "project_id": "demo",
        "private_key": pem,
        "client_email": "app@demo.iam.example",
        "token_uri": "https://ca.example/token",
        "csql_endpoint": "https://ca.example",
    })
    .to_string()
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    variables.iter().map(owned).collect()
}

fn config_in(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, Complaints> {
    let flags = std::iter::once("cloudsql-proxy").chain(flags.iter().copied());
    let environment = environment(variables);
    let settings = Settings::parse_from(flags).load(&environment)?;
    Config::new(settings, &environment)
}

/// With a token, so that credentials are nobody's concern.
pub(super) fn config(flags: &[&str]) -> Result<Config, Complaints> {
    let flags: Vec<&str> = flags.iter().copied().chain(["--token=t"]).collect();
    config_in(&flags, &[])
}

fn complaints(flags: &[&str]) -> String {
    config(flags).err().expect("accepted").to_string()
}

fn ports(flags: &[&str]) -> Vec<Option<u16>> {
    let places = config(flags)
        .unwrap()
        .instances
        .into_iter()
        .map(|instance| instance.place);
    places
        .map(|place| match place {
            Place::Tcp { port, .. } => port,
            Place::UnixFolder(_) | Place::UnixPath(_) => panic!("no port"),
        })
        .collect()
}

#[test]
fn instances_come_from_flags_and_arguments_and_ports_count_up() {
    let given = [
        "p:r:a",
        "--instance=p:r:b",
        "p:r:c?port=5000",
        "p:r:d",
        "--port=4000",
    ];
    let config = config(&given).unwrap();
    let names: Vec<String> = config
        .instances
        .iter()
        .map(|one| one.wanted.to_string())
        .collect();
    assert_eq!(names, ["p:r:b", "p:r:a", "p:r:c", "p:r:d"]);
    assert_eq!(
        ports(&given),
        [Some(4000), Some(4001), Some(5000), Some(4002)]
    );
    assert_eq!(ports(&["p:r:a", "p:r:b"]), [None, None]);
    assert_eq!(ports(&["p:r:a", "--port=0"]), [None]);
    assert!(complaints(&["p:r:a", "p:r:b", "--port=65535"]).contains("counts up beyond 65535"));
}

#[test]
fn engines_own_ports_count_up_each_for_itself() {
    use proto::Engine::{Mysql, Postgres, Tcp};
    let mut ports = Ports::default();
    let given = [Mysql, Postgres, Mysql, Tcp, Postgres].map(|engine| ports.next(engine));
    assert_eq!(given, [3306, 5432, 3307, 3308, 5433].map(Some));
}

#[test]
fn parameters_of_an_instance_win_over_the_flags() {
    let config = config(&[
        "p:r:a?address=::1&port=3310&private-ip=true&tunnel-port=4307",
        "p:r:b?unix-socket=%2Frun%2Fdb",
        "p:r:c?unix-socket-path=/run/c.sock",
        "p:r:d?private-ip",
        "--address=127.0.0.2",
    ])
    .unwrap();
    let [a, b, c, d] = config.instances.as_slice() else {
        panic!("four instances");
    };
    let address: Address = "::1".parse().unwrap();
    assert_eq!(
        a.place,
        Place::Tcp {
            address,
            port: Some(3310)
        }
    );
    assert_eq!((a.route, a.tunnel_port), (Route::Private, 4307));
    assert_eq!(b.place, Place::UnixFolder("/run/db".into()));
    assert_eq!((b.route, b.tunnel_port), (Route::Public, 3307));
    assert_eq!(c.place, Place::UnixPath("/run/c.sock".into()));
    let address = "127.0.0.2".parse().unwrap();
    assert_eq!(
        d.place,
        Place::Tcp {
            address,
            port: None
        }
    );
    assert_eq!(d.route, Route::Private);
}

#[test]
fn a_wrong_parameter_is_complained_about_with_what_may_be_meant() {
    for (instance, expected) in [
        (
            "p:r:a?prot=1",
            "there is no parameter prot; did you mean port?",
        ),
        ("p:r:a?unix_socket=/x", "did you mean unix-socket?"),
        ("p:r:a?colour=red", "there are address, port"),
        (
            "p:r:a?port=70000",
            "expected a number from 0 to 65535, found \"70000\"",
        ),
        ("p:r:a?port=1&port=2", "port is given twice"),
        (
            "p:r:a?address=db.example",
            "expected an IP address or localhost, found \"db.example\"",
        ),
        ("p:r:a?private-ip=perhaps", "expected true or false"),
        ("p:r:a?unix-socket=", "unix-socket is empty"),
        ("p:r:a?port", "port is empty"),
        ("p:r:a=tcp:3306", "say p:r:a?port=3306"),
        ("p:r:a=unix:/run/db", "say p:r:a?unix-socket-path=/run/db"),
        ("p:r:a?unix-socket=%zz", "broken percent sign"),
        ("p:r:a?unix-socket=%+1", "broken percent sign"),
        ("p:r:a?unix-socket=%00", "broken percent sign"),
        ("p:r:a?port=1&unix-socket=/x", "exclude each other"),
        ("p:r", "an instance is named project:region:instance"),
        ("../etc", "instance must be 1 to 63"),
        (
            "db1",
            "a short name means an instance of the key file's project",
        ),
    ] {
        let found = complaints(&[instance]);
        assert!(found.contains(expected), "{instance}: {found}");
    }
}

#[test]
fn all_complaints_are_told_together() {
    let found = complaints(&[
        "p:r:a?prot=1",
        "p:r:b?port=x",
        "--address=nowhere",
        "--unix-socket=/run",
        "--private-ip",
        "--auto-ip",
        "--ca-certificate=/nonexistent.pem",
    ]);
    for expected in [
        "prot",
        "p:r:b?port=x",
        "nowhere",
        "cannot be given together with unix-socket",
        "cannot be given together with auto-ip",
        "/nonexistent.pem",
    ] {
        assert!(found.contains(expected), "{expected} is missing:\n{found}");
    }
    assert!(complaints(&[]).contains("give at least one"));
    assert!(complaints(&["p:r:a?port=1", "p:r:a?port=1"]).contains("given twice"));
}

#[test]
fn kinds_of_credentials_exclude_each_other_wherever_they_are_given() {
    for flags in [
        ["p:r:a", "--token=t", "--credentials-file=k.json"],
        ["p:r:a", "--token=t", "--json-credentials={}"],
        [
            "p:r:a",
            "--json-credentials={}",
            "--credentials-file=k.json",
        ],
    ] {
        let found = config_in(&flags, &[]).err().expect("accepted").to_string();
        assert!(found.contains("cannot be given together with"), "{found}");
    }
}

#[test]
fn a_key_file_gives_short_names_their_project_and_is_searched_for_as_google_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    std::fs::write(&path, key_file()).unwrap();
    let path = path.display().to_string();
    let wanted =
        |config: Result<Config, Complaints>| match config.unwrap().instances.remove(0).wanted {
            Wanted::Short { project, instance } => (project, instance),
            other => panic!("{other}"),
        };
    let demo = ("demo".to_owned(), "db1".to_owned());
    let flag = format!("--credentials-file={path}");
    assert_eq!(wanted(config_in(&["db1", &flag], &[])), demo);
    let inline = format!("--json-credentials={}", key_file());
    assert_eq!(wanted(config_in(&["db1", &inline], &[])), demo);
    let variable = ("GOOGLE_APPLICATION_CREDENTIALS", path.as_str());
    assert_eq!(wanted(config_in(&["db1"], &[variable])), demo);
    let gcloud = folder.path().join(".config/gcloud");
    std::fs::create_dir_all(&gcloud).unwrap();
    std::fs::write(
        gcloud.join("application_default_credentials.json"),
        key_file(),
    )
    .unwrap();
    let home = folder.path().display().to_string();
    let home = ("HOME", home.as_str());
    assert_eq!(wanted(config_in(&["db1"], &[home])), demo);
}

#[test]
fn without_a_file_the_metadata_server_is_asked() {
    let host = |variables: &[(&str, &str)]| match config_in(&["p:r:a"], variables)
        .unwrap()
        .authority
        .credentials
    {
        Credentials::MetadataServer { host } => host,
        _ => panic!("other credentials"),
    };
    assert_eq!(host(&[]), "metadata.google.internal");
    assert_eq!(
        host(&[("GCE_METADATA_HOST", "127.0.0.1:99")]),
        "127.0.0.1:99"
    );
}

#[test]
fn a_broken_key_file_is_named_with_its_problem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.json");
    let whole = key_file();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let flag = format!("--credentials-file={}", path.display());
    let found = config_in(&["p:r:a", &flag], &[])
        .err()
        .expect("accepted")
        .to_string();
    assert!(found.contains("half.json: is cut off at line 1"), "{found}");
    assert!(!found.contains("PRIVATE"), "{found}");
    let variable = ("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent.json");
    let found = config_in(&["p:r:a"], &[variable])
        .err()
        .expect("accepted")
        .to_string();
    assert!(
        found.contains("GOOGLE_APPLICATION_CREDENTIALS /nonexistent.json"),
        "{found}"
    );
}

#[test]
fn instances_of_the_environment_are_counted_to_the_first_gap() {
    let names = |variables: &[(&str, &str)]| -> Vec<String> {
        let settings = Settings::parse_from(["cloudsql-proxy"]);
        settings.load(&environment(variables)).unwrap().instance
    };
    const NAME: &str = "CSQL_PROXY_INSTANCE_CONNECTION_NAME";
    let numbered = |number: usize| format!("{NAME}_{number}");
    let (zero, one, three) = (numbered(0), numbered(1), numbered(3));
    assert_eq!(names(&[(NAME, "a")]), ["a"]);
    assert_eq!(
        names(&[(&zero, "a"), (&one, "b"), (&three, "c")]),
        ["a", "b"]
    );
    assert_eq!(names(&[(NAME, "a"), (&one, "b")]), ["a", "b"]);
    assert!(names(&[(&one, "b")]).is_empty());
    let config = config_in(&["--token=t"], &[(NAME, "p:r:a?port=1")]).unwrap();
    assert_eq!(config.instances[0].wanted.to_string(), "p:r:a");
}

#[test]
fn a_file_has_the_names_of_the_flags_and_loses_against_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    let text = "instance = [\"p:r:a\"]\nport = 4000\ndial-timeout = \"5s\"\nlazy-refresh = true\n\
                max-sigterm-delay = \"30s\"\nhttp-port = 8080\nhealth-check = true\ntoken = \"t\"\n";
    std::fs::write(&path, text).unwrap();
    let flags = Settings::parse_from(["cloudsql-proxy", "--port=5000", "--lazy-refresh=false"]);
    let flags = Settings {
        config_file: Some(path),
        ..flags
    };
    let settings = flags.load(&Environment::default()).unwrap();
    let config = Config::new(settings, &Environment::default()).unwrap();
    let Place::Tcp { port, .. } = config.instances[0].place else {
        panic!("no TCP");
    };
    assert_eq!(port, Some(5000));
    assert_eq!(config.refresh, Refresh::Ahead);
    assert_eq!(config.dial_timeout, Duration::from_secs(5));
    assert_eq!(config.stop.drain_for, Duration::from_secs(30));
    let http = config.http.unwrap();
    assert_eq!(
        (http.host.as_str(), http.port, http.metrics),
        ("localhost", 8080, false)
    );
}

#[test]
fn json_stays_json_when_the_log_is_quiet() {
    let logging = |flags: &[&str]| {
        let flags = std::iter::once("cloudsql-proxy").chain(flags.iter().copied());
        Logging::new(&Settings::parse_from(flags))
    };
    let quiet = logging(&["--quiet", "--structured-logs"]);
    assert_eq!(quiet.level.as_deref(), Some("error"));
    assert_eq!(quiet.style, daemon::log::Style::Json);
    assert_eq!(logging(&["--debug-logs"]).level.as_deref(), Some("debug"));
    assert_eq!(logging(&[]).level, None);
}
