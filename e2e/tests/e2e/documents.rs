//! The commands that README.md and docs/getting-started.md tell people to type do what they promise, in their order.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use e2e::clients::{Address, Client, Target};
use e2e::databases::{Database, Flavor};
use e2e::paths::{binary, project};
use e2e::place::{AGENT_PORT, Loopback, Place};
use e2e::probe::{accepts, status};
use e2e::process::{Process, output_of};
use rustix::process::geteuid;

const FLAVOR: Flavor = Flavor::MariaDb10;
const STARTED: &str = "The proxy has started successfully and is ready for new connections!";

/// A machine for the reader of a document: its folders, names and addresses stand for those in the text.
struct Reader {
    /// What was started, last first: it ends in that order.
    running: Vec<Process>,
    database: Database,
    ca: SocketAddr,
    agent: Loopback,
    /// In place of 127.0.0.1:3306.
    client: SocketAddr,
    place: Place,
}

impl Reader {
    fn new() -> Self {
        let place = Place::new("reader").unwrap();
        let free = || SocketAddr::new(place.address(), place.free_port().unwrap());
        Self {
            running: Vec::new(),
            database: Database::start(FLAVOR, &place).unwrap(),
            ca: free(),
            client: free(),
            agent: Loopback::reserve().unwrap(),
            place,
        }
    }

    /// The command as the document has it, at this machine's places.
    fn translated(&self, command: &str) -> Command {
        let database = format!("unix:{}", self.database.socket().display());
        let data = self.place.join("ca-data");
        let here = command
            .replace("/var/lib/cloudsql-ca", data.to_str().unwrap())
            .replace(
                "https://ca.example.org:8443",
                &format!("https://{}", self.ca),
            )
            .replace("0.0.0.0:8443", &self.ca.to_string())
            .replace("db1.example.org", &self.agent.ip().to_string())
            .replace("unix:/run/mysqld/mysqld.sock", &database);
        let mut words = here.split_whitespace();
        let mut translated = Command::new(binary(words.next().unwrap()).unwrap());
        translated.args(words).current_dir(self.place.path());
        translated
    }

    /// Does what the document says; returns what it was.
    fn obey(&mut self, command: &str) -> &'static str {
        let mut translated = self.translated(command);
        let words: Vec<&str> = command.split_whitespace().take(2).collect();
        match *words {
            ["cloudsql-ca", "serve"] => {
                let ca = self.ca;
                self.start("ca", translated, |_| accepts(ca));
                "serve"
            }
            ["cloudsql-proxy-server", _] => {
                self.start_agent(translated);
                "agent"
            }
            ["cloudsql-proxy", flag] if flag.starts_with("--") => {
                translated.arg(format!("--address={}", self.client.ip()));
                translated.arg(format!("--port={}", self.client.port()));
                self.start("client", translated, |log| log.contains(STARTED));
                "client"
            }
            _ => {
                output_of(&mut translated).unwrap();
                "done"
            }
        }
    }

    /// Several agents share this machine, and tests may run as root.
    fn start_agent(&mut self, mut command: Command) {
        let at = |ip: IpAddr, port| SocketAddr::new(ip, port);
        let health = at(self.place.address(), self.place.free_port().unwrap());
        command.arg(format!("--listen={}", at(self.agent.ip(), AGENT_PORT)));
        command.arg(format!("--http-address={}", health.ip()));
        command.arg(format!("--http-port={}", health.port()));
        if geteuid().is_root() {
            command.arg("--run-as=daemon");
        }
        let is_ready = move |_: &str| status(health, "/readiness").ok() == Some(200);
        self.start("agent", command, is_ready);
    }

    fn start(&mut self, name: &str, mut command: Command, is_ready: impl Fn(&str) -> bool) {
        let log = self.place.join(&format!("{name}.log"));
        let mut process = Process::spawn(name, &mut command, &log).unwrap();
        process
            .ready_when(&format!("the start of the {name}"), |log| Ok(is_ready(log)))
            .unwrap();
        self.running.insert(0, process);
    }

    fn query(&self) -> String {
        let [login, _] = FLAVOR.logins();
        let (host, port) = (self.client.ip(), self.client.port());
        let target = Target::usual(Address::Tcp { host, port }, login);
        let rows = Client::MariadbCli.query(&target, "SELECT CURRENT_USER()");
        format!("{:?}", rows.unwrap().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }
}

/// Lines that are indented as code, and code within a sentence that is whole, from our programs' names on.
fn commands(document: &str) -> Vec<String> {
    let text = std::fs::read_to_string(project().join(document)).unwrap();
    let is_command = |code: &&str| code.starts_with("cloudsql-");
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(code) = line.strip_prefix("    ") {
            found.extend(Some(code).filter(is_command));
        } else {
            let code = line.split('`').skip(1).step_by(2).filter(is_command);
            found.extend(code.filter(|code| code.contains(" --data ") && !code.contains("...")));
        }
    }
    found.into_iter().map(str::to_owned).collect()
}

fn follow(document: &str) -> (Reader, Vec<&'static str>) {
    let mut reader = Reader::new();
    let commands = commands(document);
    let done = commands
        .iter()
        .map(|command| reader.obey(command))
        .collect();
    (reader, done)
}

#[test]
fn the_readmes_commands_lead_to_a_query_through_the_tunnel() {
    let (reader, done) = follow("README.md");
    assert_eq!(done.len(), 9, "{done:?}");
    assert_eq!(done[6..], ["serve", "agent", "client"]);
    assert!(reader.query().contains("app@"));
}

#[test]
fn getting_started_leads_to_a_query_through_the_tunnel_and_to_the_ca_of_the_agent() {
    let (reader, done) = follow("docs/getting-started.md");
    let count = |what| done.iter().filter(|&&done| done == what).count();
    assert_eq!([count("serve"), count("agent"), count("client")], [1; 3]);
    assert_eq!(count("done"), 9, "{done:?}");
    assert!(reader.query().contains("app@"));
    let pem = std::fs::read_to_string(reader.file("server-ca.pem")).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    for made in [
        "agent.json",
        "app.json",
        "gapp.json",
        "ca-data/store.db",
        "ca-data/kek",
    ] {
        assert!(reader.file(made).exists(), "{made}");
    }
}
