//! The client's sub-commands with a real database: a job in one line, and the doctor on its rungs.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};

use e2e::agent::Leg;
use e2e::databases::Flavor;
use e2e::paths::{binary, installed};
use e2e::place::Place;
use e2e::process::Process;
use e2e::proxy::socket_path;
use e2e::wait::{PATIENCE, until};
use e2e::world::{World, instance};
use rustix::process::{Pid, Signal, kill_process};
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
fn mysql_job(world: &World, sql: &str) -> Command {
    let [login, _] = Flavor::MySql9.logins();
    let mysql = installed("bin/mysql9").unwrap();
    let mut command = client(world, "run", &["--"]);
    command
        .arg(mysql)
        .args(["--no-defaults", "--batch", "--skip-column-names"])
        .arg(format!("--user={}", login.user))
        .arg(format!("--password={}", login.password))
        .args(["-e", sql]);
    command
}

fn job(world: &World, sql: &str) -> (Option<i32>, String) {
    let Output { status, stdout, .. } = mysql_job(world, sql).output().unwrap();
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
    // What has no right to run, and what is not there, as shells have it.
    let unrunnable = world.place.join("unrunnable");
    std::fs::write(&unrunnable, "").unwrap();
    for (program, expected) in [(unrunnable.to_str().unwrap(), 126), ("/nonexistent", 127)] {
        let Output { status, stderr, .. } =
            client(&world, "run", &["--", program]).output().unwrap();
        assert_eq!(status.code(), Some(expected), "{program}");
        let told = String::from_utf8(stderr).unwrap();
        assert!(told.contains(&format!("cannot run {program}: ")), "{told}");
    }
}

/// The processes that the threads of a process have started, as the kernel has them.
fn children(of: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{of}/task")).unwrap();
    let children = tasks.map(|task| {
        let path = task.unwrap().path().join("children");
        std::fs::read_to_string(path).unwrap_or_default()
    });
    let children = children.collect::<Vec<_>>().join(" ");
    let ids = children.split_whitespace();
    ids.map(|id| id.parse().unwrap()).collect()
}

/// Waits until so many sessions sleep at the database.
fn until_asleep(world: &World, count: &str) {
    let asleep =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'";
    until("the sessions that sleep", PATIENCE, || {
        let counted = world.database.execute(asleep)?[0][0].clone();
        Ok((counted.as_deref() == Some(count)).then_some(()))
    })
    .unwrap();
}

#[test]
fn a_job_that_a_signal_ends_ends_with_128_and_the_signals_number() {
    let world = World::start(Flavor::MySql9).unwrap();
    let log = world.place.join("job.log");
    for (signal, to_mysql, expected) in [
        (Signal::KILL, true, 137),
        (Signal::TERM, true, 143),
        (Signal::TERM, false, 143),
    ] {
        let mut command = mysql_job(&world, "SELECT SLEEP(120)");
        let mut job = Process::spawn("a job", &mut command, &log).unwrap();
        until_asleep(&world, "1");
        if to_mysql {
            let [mysql] = children(job.id())[..] else {
                panic!("not one child")
            };
            let mysql = Pid::from_raw(mysql.try_into().unwrap()).unwrap();
            kill_process(mysql, signal).unwrap();
        } else {
            job.signal(signal).unwrap();
        }
        let ended = job.wait(PATIENCE).unwrap().code();
        assert_eq!(ended, Some(expected), "{signal:?}\n{}", job.log());
        until_asleep(&world, "0");
    }
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

/// What the client says that cannot listen where `flags` send it.
fn complaint(flags: &[String]) -> String {
    let mut command = Command::new(binary("cloudsql-proxy").unwrap());
    command.args(["--token=t", "--sqladmin-api-endpoint=https://127.0.0.1:1"]);
    let Output { status, stderr, .. } = command.args(flags).arg("acme:lab1:db1").output().unwrap();
    let told = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{told}");
    told
}

#[test]
fn who_has_the_port_or_the_socket_is_named_to_whom_wants_it() {
    let place = Place::new("taken").unwrap();
    let holder = format!("process {} (", std::process::id());
    let taken = TcpListener::bind((place.address(), 0)).unwrap();
    let at = taken.local_addr().unwrap();
    let told = complaint(&[
        format!("--address={}", at.ip()),
        format!("--port={}", at.port()),
    ]);
    let expected = format!(
        "cannot listen on {at}: choose another address or port: the port is taken by {holder}"
    );
    assert!(told.contains(&expected), "{told}");
    let path = socket_path(place.path(), "db1");
    let _taken = UnixListener::bind(&path).unwrap();
    let told = complaint(&[format!("--unix-socket={}", place.path().display())]);
    let listens = format!(") listens on \"{}\": stop it", path.display());
    assert!(told.contains(&holder) && told.contains(&listens), "{told}");
}
