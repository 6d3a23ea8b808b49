//! What the end-to-end tests of Google's proxy check for MySQL, with its arguments and variables: ways in, each source
//! of credentials, health, how it ends, and the lines of its log that scripts wait for.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};

use e2e::agent::Leg;
use e2e::authority::Dialect;
use e2e::clients::{Address, Client, Target};
use e2e::databases::Flavor;
use e2e::paths::{binary, installed};
use e2e::place::{Place, free_port_at};
use e2e::probe::status;
use e2e::process::{Process, output_of};
use e2e::proxy::socket_path;
use e2e::tally;
use e2e::wait::PATIENCE;
use e2e::world::{Serving, World, instance};
use rustix::process::Signal;

const CLIENT: Client = Client::GoSqlDriver;
/// What scripts wait for.
const STARTED: &str = "The proxy has started successfully and is ready for new connections!";
/// Variables of whoever runs the tests that name credentials.
const CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// A world as it is for who comes from Google's proxy: the account's key file is one of Google's libraries.
struct Anchor {
    world: World,
    full: String,
}

/// Flags and variables.
type Prepare<'a> = &'a dyn Fn(&mut Command);

/// Where a proxy listens.
struct Spot {
    address: Address,
    arguments: Vec<String>,
}

impl Anchor {
    fn start() -> Self {
        let world = World::with(Flavor::MySql9, Serving::Together, "legacy", Dialect::Google);
        Self {
            world: world.unwrap(),
            full: format!("acme:lab1:{}", instance(Leg::Unix)),
        }
    }

    fn key_file(&self) -> &str {
        self.world.key_file().to_str().unwrap()
    }

    fn port(&self) -> Spot {
        let (host, port) = (self.world.place.address(), self.world.place.free_port());
        let port = port.unwrap();
        Spot {
            address: Address::Tcp { host, port },
            arguments: vec![format!("--address={host}"), format!("--port={port}")],
        }
    }

    fn socket(&self) -> Spot {
        let folder = self.world.place.join("anchor");
        std::fs::create_dir_all(&folder).unwrap();
        Spot {
            address: Address::Socket(socket_path(&folder, instance(Leg::Unix))),
            arguments: vec!["--unix-socket".to_owned(), folder.display().to_string()],
        }
    }

    /// Starts the program, waits for the line that all scripts wait for, and runs a query through it.
    fn serves(&self, spot: &Spot, prepare: impl FnOnce(&mut Command)) -> Process {
        let mut command = Command::new(binary("cloudsql-proxy").unwrap());
        command.args(&spot.arguments).env_remove(CREDENTIALS);
        // No default credentials of whoever runs the tests.
        command.env("CLOUDSDK_CONFIG", self.world.place.join("no-gcloud"));
        prepare(&mut command);
        let name = spot.address.to_string().replace('/', "_");
        let log = self.world.place.join(&format!("anchor{name}.log"));
        let mut process = Process::spawn("cloudsql-proxy", &mut command, &log).unwrap();
        let started = process.ready_when("the start", |log| Ok(log.contains(STARTED)));
        started.unwrap();
        let listening = format!("[{}] Listening on {}\n", self.full, spot.address);
        let log = process.log();
        assert!(log.contains(&listening), "{listening} is missing in: {log}");
        let [login, _] = Flavor::MySql9.logins();
        let target = Target::usual(spot.address.clone(), login);
        let answer = CLIENT.query(&target, "SELECT 1").unwrap();
        assert_eq!(answer.unwrap(), [[Some("1".to_owned())]]);
        process
    }

    /// An access token, got with Google's own library.
    fn token(&self, root: &Path) -> String {
        let script = "import sys, google.oauth2.service_account as s, google.auth.transport.requests as t\n\
                      c = s.Credentials.from_service_account_file(sys.argv[1])\n\
                      c = c.with_scopes(['https://www.googleapis.com/auth/sqlservice.admin'])\n\
                      c.refresh(t.Request())\n\
                      sys.stdout.write(c.token)";
        let mut python = Command::new(installed("venv/bin/python").unwrap());
        python
            .args(["-c", script, self.key_file()])
            .env("REQUESTS_CA_BUNDLE", root);
        output_of(&mut python).unwrap()
    }
}

fn passed(check: &str) {
    tally::passed(Flavor::MySql9.name(), CLIENT.name(), check).unwrap();
}

#[test]
fn anchor_connects_by_tcp_and_by_unix_socket() {
    let anchor = Anchor::start();
    for spot in [anchor.port(), anchor.socket()] {
        let process = anchor.serves(&spot, |command| {
            command.args(["--credentials-file", anchor.key_file(), &anchor.full]);
        });
        drop(process);
        passed("Google's arguments");
    }
}

#[test]
fn anchor_takes_each_source_of_credentials() {
    let anchor = Anchor::start();
    let full = anchor.full.as_str();
    let json = std::fs::read_to_string(anchor.key_file()).unwrap();
    let authority = &anchor.world.authority;
    let root = authority.root_certificate(anchor.world.key_file()).unwrap();
    let token = anchor.token(&root);
    let endpoint = authority.endpoint();
    let of_ca = |command: &mut Command| {
        command.arg("--ca-certificate").arg(&root);
        command.args(["--sqladmin-api-endpoint", &endpoint, full]);
    };
    let ways: [(&str, Prepare<'_>); 7] = [
        ("credentials file", &|command| {
            command.args(["--credentials-file", anchor.key_file(), full]);
        }),
        ("credentials file by variable", &|command| {
            command.env("CSQL_PROXY_CREDENTIALS_FILE", anchor.key_file());
            command.env("CSQL_PROXY_INSTANCE_CONNECTION_NAME", full);
        }),
        ("JSON", &|command| {
            command.args(["--json-credentials", &json, full]);
        }),
        ("JSON by variable", &|command| {
            command.env("CSQL_PROXY_JSON_CREDENTIALS", &json).arg(full);
        }),
        ("token", &|command| {
            command.args(["--token", &token]);
            of_ca(command);
        }),
        ("token by variable", &|command| {
            command.env("CSQL_PROXY_TOKEN", &token);
            of_ca(command);
        }),
        ("application default", &|command| {
            command.env(CREDENTIALS, anchor.key_file()).arg(full);
        }),
    ];
    for (name, prepare) in ways {
        let process = anchor.serves(&anchor.port(), prepare);
        let log = process.log();
        assert!(!log.contains(&token), "{name}: {log}");
        passed(name);
    }
}

#[test]
fn anchor_refreshes_lazily_and_takes_a_quota_project() {
    let anchor = Anchor::start();
    for (name, flag) in [
        ("lazy refresh", "--lazy-refresh"),
        ("quota project", "--quota-project=other-project"),
        ("connection test", "--run-connection-test"),
    ] {
        anchor.serves(&anchor.port(), |command| {
            command.args([flag, "--credentials-file", anchor.key_file(), &anchor.full]);
        });
        passed(name);
    }
}

/// How it is told to end, with which flag, and how it then ends.
struct End {
    name: &'static str,
    signal: Option<Signal>,
    flag: &'static str,
    code: i32,
}

const fn end(name: &'static str, signal: Option<Signal>, flag: &'static str, code: i32) -> End {
    End {
        name,
        signal,
        flag,
        code,
    }
}

impl Anchor {
    /// Answers probes and `wait`, and ends as it should while a session is open.
    fn ends(&self, end: &End) {
        let place = &self.world.place;
        let at = SocketAddr::new(place.address(), place.free_port().unwrap());
        let (http_address, http_port) = (
            format!("--http-address={}", at.ip()),
            format!("--http-port={}", at.port()),
        );
        let admin = free_port_at(Ipv4Addr::LOCALHOST.into()).unwrap();
        let admin = format!("--admin-port={admin}");
        let spot = self.port();
        let mut process = self.serves(&spot, |command| {
            command.args(["--credentials-file", self.key_file(), &self.full]);
            command.args(["--health-check", &http_address, &http_port, &admin]);
            command.arg(end.flag);
        });
        for probe in ["/startup", "/readiness", "/liveness"] {
            assert_eq!(status(at, probe).unwrap(), 200, "{probe}");
        }
        succeeds("wait", &[&http_address, &http_port, "--max=5s"]);
        let mut session = TcpStream::connect((spot.address.host(), spot.address.port())).unwrap();
        session.read_exact(&mut [0]).unwrap();
        match end.signal {
            Some(signal) => process.signal(signal).unwrap(),
            None => succeeds("shutdown", &[&admin]),
        }
        let ended = process.wait(PATIENCE).unwrap();
        let log = process.log();
        assert_eq!(ended.code(), Some(end.code), "{}: {log}", end.name);
        passed(end.name);
    }
}

#[test]
fn anchor_answers_probes_and_ends_with_googles_codes_whatever_is_open() {
    let anchor = Anchor::start();
    let term = Some(Signal::TERM);
    for one in [
        end("SIGTERM", term, "--max-sigterm-delay=0s", 143),
        end("SIGINT", Some(Signal::INT), "--max-sigterm-delay=0s", 130),
        end("SIGTERM for zero", term, "--exit-zero-on-sigterm", 0),
        end("quitquitquit", None, "--quitquitquit", 0),
    ] {
        anchor.ends(&one);
    }
}

fn succeeds(sub_command: &str, arguments: &[&str]) {
    let mut command = Command::new(binary("cloudsql-proxy").unwrap());
    output_of(command.arg(sub_command).args(arguments)).unwrap();
}

#[test]
fn anchor_flags_that_are_left_out_are_refused_by_name_and_all_at_once() {
    let place = Place::new("left-out").unwrap();
    let mut command = Command::new(binary("cloudsql-proxy").unwrap());
    command
        .args(["--gcloud-auth", "--auto-iam-authn", "acme:lab1:db1"])
        .env_remove(CREDENTIALS)
        .env("CLOUDSDK_CONFIG", place.path());
    let Output { status, stderr, .. } = command.output().unwrap();
    let told = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(64), "{told}");
    for name in ["gcloud-auth", "auto-iam-authn"] {
        let refused = format!("{name}: is Google's and not supported here: ");
        assert!(told.contains(&refused), "{told}");
    }
}
