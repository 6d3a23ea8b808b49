//! Failures that the CA tells of, or that lie between the client and the CA.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::agent::Leg;
use e2e::authority::{Dialect, PROJECT};
use e2e::clock::set_clock;
use e2e::databases::Flavor;
use e2e::impostor::{Impostor, Papers};
use e2e::paths::binary;
use e2e::process::output_of;
use e2e::world::{CLIENT_ACCOUNT, World, instance};
use serde_json::Value;

use super::trial::{Failure, Trial};

/// A key file with some members changed.
fn changed(world: &World, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut file: Value =
        serde_json::from_slice(&std::fs::read(world.key_file()).unwrap()).unwrap();
    change(&mut file);
    let path = world.place.join(name);
    std::fs::write(&path, file.to_string()).unwrap();
    path
}

fn with(key_file: &Path) -> impl Fn(&mut Command) + use<> {
    let key_file = key_file.to_owned();
    move |command| {
        command.arg("--credentials-file").arg(&key_file);
    }
}

/// The private key of another account in the key file of this one.
fn with_a_wrong_key(world: &World) -> PathBuf {
    let other = world
        .authority
        .create_account("other", Dialect::Ours)
        .unwrap();
    let other: Value = serde_json::from_slice(&std::fs::read(other).unwrap()).unwrap();
    changed(world, "wrong-key.json", |file| {
        file["private_key"] = other["private_key"].clone();
    })
}

/// A key whose time was over when it was made: the command that made it believed to be an hour back.
fn with_an_expired_key(world: &World) -> PathBuf {
    let path = world.place.join("expired-key.json");
    let mut create = Command::new(binary("cloudsql-ca").unwrap());
    create
        .args(["keys", "create", "--lifetime=30m"])
        .arg("--service-account")
        .arg(CLIENT_ACCOUNT)
        .arg("--key-file")
        .arg(&path)
        .arg("--data")
        .arg(world.place.join("ca"));
    set_clock(&mut create, -3600.0).unwrap();
    output_of(&mut create).unwrap();
    path
}

/// A client that fails, and how.
struct Row {
    instance: String,
    key_file: PathBuf,
    failure: Failure,
}

fn row(instance: &str, key_file: &Path, failure: Failure) -> Row {
    Row {
        instance: instance.to_owned(),
        key_file: key_file.to_owned(),
        failure,
    }
}

const NO_GRANT: Failure = Failure {
    name: "no grant",
    number: 1045,
    code: "no-grant",
    says: &["the CA does not allow it", "cloudsql-ca grant --instance"],
    rung: "certificate",
    fix: "a grant of role client",
};
const WRONG_KEY: Failure = Failure {
    name: "wrong key",
    number: 1045,
    code: "unauthenticated",
    says: &["not signed by an enabled key", "cloudsql-ca keys create"],
    rung: "token",
    fix: "cloudsql-ca keys create",
};
const INTERCEPTED: Failure = Failure {
    name: "TLS intercepted before the CA",
    number: 1158,
    code: "ca-unreachable",
    says: &["is not from the CA's root", "--ca-certificate"],
    rung: "ca",
    fix: "--ca-certificate",
};
const CA_DOWN: Failure = Failure {
    name: "CA down",
    number: 1158,
    code: "ca-unreachable",
    says: &["CA unreachable, retrying", "connection refused"],
    rung: "ca",
    fix: "check that the CA runs",
};

/// Those that the CA refuses.
fn refused(world: &World) -> [Row; 5] {
    let (usual, owner) = (instance(Leg::Unix), world.key_file());
    let stranger = world.authority.create_account("stranger", Dialect::Ours);
    let expired = Failure {
        name: "expired key",
        says: &["expired at", "cloudsql-ca keys create"],
        ..WRONG_KEY
    };
    let unknown = Failure {
        name: "unknown instance",
        says: &["no-such-database", "or there is no such instance"],
        ..NO_GRANT
    };
    let elsewhere = Failure {
        name: "wrong region",
        number: 1158,
        code: "settings",
        says: &["is in region lab1", "name it acme:lab1:db-unix"],
        rung: "settings",
        fix: "name it acme:lab1:db-unix",
    };
    [
        row(usual, &with_a_wrong_key(world), WRONG_KEY),
        row(usual, &with_an_expired_key(world), expired),
        row(usual, &stranger.unwrap(), NO_GRANT),
        row("no-such-database", owner, unknown),
        row(&format!("{PROJECT}:lab9:{usual}"), owner, elsewhere),
    ]
}

#[test]
fn six_drivers_the_log_and_the_doctor_are_told_why_the_ca_gives_no_certificate() {
    let mut world = World::start(Flavor::MySql9).unwrap();
    let mut trial = Trial::new();
    for row in refused(&world) {
        trial.fails(&world, &row.instance, &with(&row.key_file), &row.failure);
    }

    let usual = instance(Leg::Unix);
    let address = world.place.address();
    let forged = Papers::forged(&address.to_string()).unwrap();
    let impostor = Impostor::intercepting((address, 0).into(), &forged).unwrap();
    let endpoint = format!("https://{}", impostor.address());
    let misled = changed(&world, "misled.json", |file| {
        file["csql_endpoint"] = Value::from(endpoint.clone());
        file["token_uri"] = Value::from(format!("{endpoint}/token"));
    });
    trial.fails(&world, usual, &with(&misled), &INTERCEPTED);

    world.authority.crash().unwrap();
    trial.fails(&world, usual, &with(world.key_file()), &CA_DOWN);
    trial.end();
}
