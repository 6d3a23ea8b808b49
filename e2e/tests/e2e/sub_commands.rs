//! The client's sub-commands with a real database: a job in one line, and the doctor on its rungs.

use std::process::{Command, Output};

use e2e::agent::Leg;
use e2e::databases::Flavor;
use e2e::paths::{binary, installed};
use e2e::world::{World, instance};
use serde_json::Value;

/// The client with a sub-command, and what goes behind its flags.
fn client(world: &World, command: &str, rest: &[&str]) -> Command {
    let mut client = Command::new(binary("cloudsql-proxy").unwrap());
    client
        .arg(command)
        .arg(format!("--instance={}", instance(Leg::Unix)))
        .arg("--credentials-file")
        .arg(world.key_file())
        .args(rest);
    client
}

/// `run -- mysql -e SQL`, with nothing said of host and port.
fn job(world: &World, sql: &str) -> (Option<i32>, String) {
    let [login, _] = Flavor::MySql9.logins();
    let mysql = installed("bin/mysql9").unwrap();
    let mut command = client(world, "run", &["--"]);
    command
        .arg(mysql)
        .args(["--no-defaults", "--batch", "--skip-column-names"])
        .arg(format!("--user={}", login.user))
        .arg(format!("--password={}", login.password))
        .args(["-e", sql]);
    let Output { status, stdout, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap())
}

/// The broken rung and its code.
fn diagnosis(world: &World) -> (Option<i32>, Option<(String, String)>) {
    let Output { status, stdout, .. } = client(world, "doctor", &["--json"]).output().unwrap();
    let reports: Value = serde_json::from_slice(&stdout).unwrap();
    let rungs = reports[0]["rungs"].as_array().unwrap();
    let broken = rungs.iter().find(|rung| rung["state"] == "broken");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let told = broken.map(|rung| (text(&rung["rung"]), text(&rung["code"])));
    (status.code(), told)
}

#[test]
fn a_job_in_one_line_ends_as_its_command_does() {
    let world = World::start(Flavor::MySql9).unwrap();
    assert_eq!(job(&world, "SELECT 6 * 7"), (Some(0), "42\n".to_owned()));
    assert_eq!(job(&world, "SELECT nonsense").0, Some(1));
    let signalled = client(&world, "run", &["--", "sh", "-c", "kill -TERM $$"]).status();
    assert_eq!(signalled.unwrap().code(), Some(143));
    let nothing = client(&world, "run", &["--", "/nonexistent"]).status();
    assert_eq!(nothing.unwrap().code(), Some(127));
}

#[test]
fn the_doctor_finds_what_is_down_between_here_and_the_database() {
    let mut world = World::start(Flavor::MySql9).unwrap();
    assert_eq!(diagnosis(&world), (Some(0), None));
    let broken = |rung: &str, code: &str| (Some(1), Some((rung.to_owned(), code.to_owned())));
    world.database.stop().unwrap();
    assert_eq!(
        diagnosis(&world),
        broken("database", "database-unreachable")
    );
    world.crash_agents().unwrap();
    assert_eq!(diagnosis(&world), broken("tcp", "agent-unreachable"));
    world.authority.crash().unwrap();
    assert_eq!(diagnosis(&world), broken("ca", "ca-unreachable"));
}
