//! What breaks comes back without anyone's help, and says meanwhile what is wrong.

use std::time::{Duration, Instant};

use e2e::agent::Leg;
use e2e::clients::{Answer, Client, Target};
use e2e::databases::Flavor;
use e2e::proxy::Mount;
use e2e::tally;
use e2e::wait::{PATIENCE, until};
use e2e::world::{CLIENT_ACCOUNT, World, instance};
use rustix::process::Signal;
use serde_json::json;

/// How soon a client works again once what it missed is back.
const RECOVERY: Duration = Duration::from_secs(2);
/// The server error numbers under which our own refusals arrive.
const NET_READ_ERROR: u32 = 1158;
const ACCESS_DENIED: u32 = 1045;

fn target(mount: &Mount) -> Target {
    let [login, _] = Flavor::MySql9.logins();
    Target::usual(mount.address().clone(), login)
}

fn query(target: &Target) -> Answer {
    Client::MysqlCli.query(target, "SELECT 42").unwrap()
}

fn assert_works(target: &Target) {
    assert_eq!(query(target).unwrap(), [[Some("42".to_owned())]]);
}

fn assert_refused(target: &Target, code: u32, word: &str) {
    let error = query(target).unwrap_err();
    assert_eq!(error.code, code, "{error}");
    assert!(
        error.message.contains(word),
        "{word:?} is missing in: {error}"
    );
}

fn passed(check: &str) {
    tally::passed(Flavor::MySql9.name(), Client::MysqlCli.name(), check).unwrap();
}

fn assert_recovers(target: &Target, since: Instant) {
    until("a session after the recovery", PATIENCE, || {
        Ok(query(target).ok())
    })
    .unwrap();
    assert!(
        since.elapsed() < RECOVERY,
        "recovered only after {:?}",
        since.elapsed()
    );
}

#[test]
fn a_client_started_while_the_ca_is_down_says_so_and_recovers_within_two_seconds() {
    let mut world = World::start(Flavor::MySql9).unwrap();
    world.authority.crash().unwrap();
    let mount = Mount::tcp(&world.place, instance(Leg::Unix)).unwrap();
    let target = target(&mount);
    let _proxy = world.proxy(&[mount]).unwrap();
    assert_refused(&target, NET_READ_ERROR, "[ca-unreachable]");
    world.authority.resume().unwrap();
    assert_recovers(&target, Instant::now());
    passed("CA down at the start");
}

#[test]
fn nobody_notices_that_the_ca_is_down_while_certificates_last() {
    let mut world = World::start(Flavor::MySql9).unwrap();
    let mount = Mount::tcp(&world.place, instance(Leg::Unix)).unwrap();
    let target = target(&mount);
    let _proxy = world.proxy(&[mount]).unwrap();
    assert_works(&target);
    world.authority.crash().unwrap();
    assert!(!world.authority.is_up());
    for _ in 0..5 {
        assert_works(&target);
    }
    passed("CA down while certificates last");
}

#[test]
fn a_restarted_agent_is_found_again() {
    let mut world = World::start(Flavor::MySql9).unwrap();
    let mount = Mount::tcp(&world.place, instance(Leg::Unix)).unwrap();
    let target = target(&mount);
    let _proxy = world.proxy(&[mount]).unwrap();
    assert_works(&target);
    world.crash_agents().unwrap();
    assert_refused(&target, NET_READ_ERROR, "[agent-unreachable]");
    world.resume_agents().unwrap();
    assert_recovers(&target, Instant::now());
    passed("agent restarted");
}

#[test]
fn a_restarted_database_is_found_again() {
    let mut world = World::start(Flavor::MySql9).unwrap();
    for leg in Leg::ALL {
        let mount = Mount::tcp(&world.place, instance(leg)).unwrap();
        let target = target(&mount);
        let _proxy = world.proxy(&[mount]).unwrap();
        assert_works(&target);
        world.database.stop().unwrap();
        assert_refused(&target, NET_READ_ERROR, "[database-unreachable]");
        world.database.resume().unwrap();
        assert_recovers(&target, Instant::now());
        passed("database restarted");
    }
}

#[test]
fn one_misconfigured_instance_of_three_fails_alone() {
    let world = World::start(Flavor::MySql9).unwrap();
    let mount = |name| Mount::tcp(&world.place, name).unwrap();
    let mounts = [
        mount(instance(Leg::Unix)),
        mount("no-such-database"),
        mount(instance(Leg::Tcp)),
    ];
    let [one, wrong, other] = [0, 1, 2].map(|index| target(&mounts[index]));
    let _proxy = world.proxy(&mounts).unwrap();
    assert_works(&one);
    assert_works(&other);
    assert_refused(&wrong, ACCESS_DENIED, "no-such-database");
    assert_works(&one);
    passed("one misconfigured instance of three");
}

#[test]
fn two_hundred_simultaneous_first_connections_are_one_request_for_a_certificate() {
    const SESSIONS: usize = 200;
    let mut world = World::start(Flavor::MySql9).unwrap();
    let name = instance(Leg::Unix);
    let mount = Mount::tcp(&world.place, name).unwrap();
    let target = target(&mount);
    // A frozen CA holds the first answer back until all of them wait for it.
    world.authority.process().signal(Signal::STOP).unwrap();
    let _proxy = world.proxy(&[mount]).unwrap();
    let asked = std::thread::spawn({
        let target = target.clone();
        move || Client::GoSqlDriver.ask(&target, &json!({ "op": "sessions", "count": SESSIONS }))
    });
    until("all connections to wait", PATIENCE, || {
        Ok((established(&target) >= SESSIONS).then_some(()))
    })
    .unwrap();
    world.authority.process().signal(Signal::CONT).unwrap();
    let ids = asked.join().unwrap().unwrap().unwrap();
    assert_eq!(ids.len(), SESSIONS);
    let issued = world.authority.certificates(name).unwrap();
    let of_client = issued
        .iter()
        .filter(|one| one.to_string().contains(CLIENT_ACCOUNT));
    assert_eq!(of_client.count(), 1, "{issued:?}");
}

/// Connections to the target's port that are open, as the kernel counts them.
fn established(target: &Target) -> usize {
    const ESTABLISHED: &str = "01";
    let e2e::clients::Address::Tcp { port, .. } = target.address else {
        panic!("not TCP")
    };
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let to_port = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[2].ends_with(&format!(":{port:04X}")) && fields[3] == ESTABLISHED
    };
    table.lines().skip(1).filter(to_port).count()
}

/// The MariaDB command line wraps the text: by its own default it wants TLS before it believes an error.
#[test]
fn every_client_shows_why_it_is_refused() {
    let mut world = World::start(Flavor::MySql9).unwrap();
    world.authority.crash().unwrap();
    let mount = Mount::tcp(&world.place, instance(Leg::Unix)).unwrap();
    let target = target(&mount);
    let _proxy = world.proxy(&[mount]).unwrap();
    for client in Client::ALL {
        let error = client.query(&target, "SELECT 42").unwrap().unwrap_err();
        let is_shown = error.message.contains("[ca-unreachable]");
        assert!(is_shown, "{client} shows: {error}");
        tally::passed(Flavor::MySql9.name(), client.name(), "reason of a refusal").unwrap();
    }
}
