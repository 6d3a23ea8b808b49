//! Failures at the agent and behind it, and between the client and the agent.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use e2e::agent::{Agent, Leg};
use e2e::authority::PROJECT;
use e2e::clients::Target;
use e2e::databases::Flavor;
use e2e::impostor::{Impostor, Papers};
use e2e::paths::installed;
use e2e::place::{AGENT_PORT, Loopback};
use e2e::proxy::{Mount, Proxy};
use e2e::wait::{PATIENCE, until};
use e2e::world::{AGENT_ACCOUNT, CLIENT_ACCOUNT, World, instance};
use rcgen::KeyPair;
use transport::authority::{Authority, AuthoritySettings, Credentials};
use transport::socket::Proxies;
use transport::tls::PrivateKey;

use super::trial::{Failure, Prepare, Trial, target};

/// A true certificate of the instance's, got as its agent gets it.
#[expect(
    clippy::disallowed_methods,
    reason = "it is the agent's clock that this test plays"
)]
fn true_papers(key_file: &Path, instance: &str) -> Papers {
    let authority = Authority::new(AuthoritySettings {
        endpoint: None,
        root_pem: None,
        credentials: Credentials::read(key_file).unwrap(),
        user_agent: "e2e".to_owned(),
        quota_project: None,
        proxies: Proxies::default(),
        clock: Arc::new(std::time::SystemTime::now),
    })
    .unwrap();
    let key = KeyPair::generate().unwrap().serialize_pem();
    let private = PrivateKey::from_pem(&key).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let issued = authority.generate_server_cert(PROJECT, instance, &private);
    Papers {
        certificate: runtime.block_on(issued).unwrap(),
        key,
    }
}

/// A new instance that the applications' account may connect to, and where its agent is expected.
fn new_instance(world: &World, name: &str) -> Loopback {
    let address = Loopback::reserve().unwrap();
    let version = world.database.flavor().database_version();
    let at = address.ip().to_string();
    world.authority.create_instance(name, &at, version).unwrap();
    world
        .authority
        .grant(name, CLIENT_ACCOUNT, "client")
        .unwrap();
    world.authority.grant(name, AGENT_ACCOUNT, "agent").unwrap();
    address
}

/// A session that sleeps until it is dropped.
struct Sleeper(Child);

impl Sleeper {
    /// `name` is its own: the database may hold on to the one before for a while.
    fn new(world: &World, target: &Target, name: &str) -> Self {
        let (login, address) = (&target.login, &target.address);
        let sleep = format!("SELECT SLEEP(600) AS {name}");
        let child = Command::new(installed("bin/mysql9").unwrap())
            .args(["--no-defaults", "--protocol=tcp"])
            .arg(format!("--execute={sleep}"))
            .arg(format!("--host={}", address.host()))
            .arg(format!("--port={}", address.port()))
            .arg(format!("--user={}", login.user))
            .arg(format!("--password={}", login.password))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let session = Self(child);
        let asleep =
            format!("SELECT COUNT(*) FROM information_schema.processlist WHERE info = '{sleep}'");
        until("the session that takes the last slot", PATIENCE, || {
            let count = world.database.execute(&asleep)?[0][0].clone();
            Ok((count.as_deref() == Some("1")).then_some(()))
        })
        .unwrap();
        session
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

fn limits(world: &World, trial: &mut Trial, owner: Prepare<'_>) {
    let crowded = "db-crowded";
    let address = new_instance(world, crowded);
    let at = Leg::Unix.argument(crowded, &world.database);
    let key_file = world.place.join(&format!("{AGENT_ACCOUNT}.json"));
    let most = ["--max-connections=1".to_owned()];
    let _agent = Agent::start_with(&world.place, &key_file, address, &[at], &most).unwrap();
    let mount = Mount::tcp(&world.place, crowded).unwrap();
    let held = target(&mount);
    let _holder = Proxy::start_in(&world.place, &[mount], owner).unwrap();
    let session = Sleeper::new(world, &held, "held_at_the_agent");
    let of_agent = Failure {
        name: "limit of the agent",
        number: 1040,
        code: "limit",
        says: &["--max-connections"],
        rung: "policy",
        fix: "--max-connections",
    };
    trial.fails(world, crowded, owner, &of_agent);
    drop(session);

    let mount = Mount::tcp(&world.place, instance(Leg::Unix)).unwrap();
    let target = target(&mount);
    let prepare = |command: &mut Command| {
        owner(command);
        command.arg("--max-connections=1");
    };
    let mut proxy = Proxy::start_in(&world.place, &[mount], prepare).unwrap();
    let _session = Sleeper::new(world, &target, "held_at_the_client");
    let of_client = Failure {
        name: "limit of the client",
        says: &["Too many connections", "--max-connections"],
        ..of_agent
    };
    let logged = ["connection limit reached"];
    trial.fails_at(&mut proxy, &target, &of_client, &logged);
}

fn strangers(world: &World, trial: &mut Trial, owner: Prepare<'_>) {
    let tapped = "db-tapped";
    let address = new_instance(world, tapped);
    let forged = Papers::forged("agent.example").unwrap();
    let at = SocketAddr::new(address.ip(), AGENT_PORT);
    let _impostor = Impostor::intercepting(at, &forged).unwrap();
    trial.fails(
        world,
        tapped,
        owner,
        &Failure {
            name: "TLS intercepted before the agent",
            number: 1158,
            code: "agent-identity",
            says: &["from another CA", "agent.example", "db-tapped"],
            rung: "tls",
            fix: "another server answers there",
        },
    );

    let denying = "db-denying";
    let address = new_instance(world, denying);
    let agent = world.place.join(&format!("{AGENT_ACCOUNT}.json"));
    let papers = true_papers(&agent, denying);
    let at = SocketAddr::new(address.ip(), AGENT_PORT);
    let _impostor = Impostor::denying(at, &papers).unwrap();
    trial.fails(
        world,
        denying,
        owner,
        &Failure {
            name: "certificate denied",
            number: 1045,
            code: "certificate-refused",
            says: &["certificate_revoked"],
            rung: "tls",
            fix: "why the certificate is revoked",
        },
    );
}

#[test]
fn six_drivers_the_log_and_the_doctor_are_told_what_is_wrong_at_the_agent() {
    let mut world = World::start(Flavor::MySql9).unwrap();
    let mut trial = Trial::new();
    let usual = instance(Leg::Unix);
    let key_file = world.key_file().to_owned();
    let owner = move |command: &mut Command| {
        command.arg("--credentials-file").arg(&key_file);
    };
    limits(&world, &mut trial, &owner);
    strangers(&world, &mut trial, &owner);

    world.database.stop().unwrap();
    trial.fails(
        &world,
        usual,
        &owner,
        &Failure {
            name: "database down",
            number: 1158,
            code: "database-unreachable",
            says: &["the agent cannot reach its database"],
            rung: "database",
            fix: "check on the database's host that it runs",
        },
    );
    world.crash_agents().unwrap();
    trial.fails(
        &world,
        usual,
        &owner,
        &Failure {
            name: "agent down",
            number: 1158,
            code: "agent-unreachable",
            says: &[
                "the agent cannot be reached",
                ":3307 does not accept connections",
            ],
            rung: "tcp",
            fix: "check that it runs",
        },
    );
    trial.end();
}
