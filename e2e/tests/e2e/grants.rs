//! Grants are given and taken while everything runs.

use std::time::{Duration, Instant};

use e2e::agent::Leg;
use e2e::authority::Dialect;
use e2e::clients::{Client, SqlError, Target};
use e2e::databases::Flavor;
use e2e::proxy::{Mount, Proxy};
use e2e::tally;
use e2e::wait::{PATIENCE, until};
use e2e::world::{CLIENT_ACCOUNT, World, instance};

/// How soon everybody knows.
const NEWS: Duration = Duration::from_secs(2);
const ACCESS_DENIED: u32 = 1045;
const FLAVOR: Flavor = Flavor::MySql9;
const CLIENT: Client = Client::MysqlCli;

fn query(target: &Target) -> Result<(), SqlError> {
    CLIENT.query(target, "SELECT 42").unwrap().map(drop)
}

fn target(mount: &Mount) -> Target {
    let [login, _] = FLAVOR.logins();
    Target::usual(mount.address().clone(), login)
}

#[test]
fn a_withdrawn_grant_ends_access_within_two_seconds() {
    let world = World::start(FLAVOR).unwrap();
    let name = instance(Leg::Unix);
    let mount = Mount::tcp(&world.place, name).unwrap();
    let target = target(&mount);
    let _proxy = world.proxy(&[mount]).unwrap();
    query(&target).unwrap();
    let withdrawal = [
        "ungrant",
        "--instance",
        name,
        "--service-account",
        CLIENT_ACCOUNT,
    ];
    world
        .authority
        .admin(&[&withdrawal[..], &["--role", "client"]].concat())
        .unwrap();
    let since = Instant::now();
    let error = until("the refusal", PATIENCE, || Ok(query(&target).err())).unwrap();
    assert!(
        since.elapsed() < NEWS,
        "refused only after {:?}",
        since.elapsed()
    );
    assert_eq!(error.code, ACCESS_DENIED, "{error}");
    assert!(error.message.contains("[no-grant]"), "{error}");
    tally::passed(FLAVOR.name(), CLIENT.name(), "withdrawn grant").unwrap();
}

#[test]
fn a_new_grant_opens_access_without_a_restart() {
    let world = World::start(FLAVOR).unwrap();
    let name = instance(Leg::Unix);
    let newcomer = world
        .authority
        .create_account("newcomer", Dialect::Ours)
        .unwrap();
    let mount = Mount::tcp(&world.place, name).unwrap();
    let target = target(&mount);
    let _proxy = Proxy::start(&world.place, &newcomer, &[mount], &[]).unwrap();
    let error = query(&target).unwrap_err();
    assert_eq!(error.code, ACCESS_DENIED, "{error}");
    assert!(error.message.contains("[no-grant]"), "{error}");
    world.authority.grant(name, "newcomer", "client").unwrap();
    let since = Instant::now();
    until("a session", PATIENCE, || Ok(query(&target).ok())).unwrap();
    assert!(
        since.elapsed() < NEWS,
        "admitted only after {:?}",
        since.elapsed()
    );
    tally::passed(FLAVOR.name(), CLIENT.name(), "new grant").unwrap();
}
