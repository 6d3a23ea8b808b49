//! A clock that is wrong.

use std::process::Command;

use e2e::agent::Leg;
use e2e::clock::set_clock;
use e2e::databases::Flavor;
use e2e::proxy::{Mount, Proxy};
use e2e::world::{World, instance};

use super::trial::{Failure, Trial, diagnosis, target};

const MINUTE: f64 = 60.0;
const DAY: f64 = 24.0 * 60.0 * MINUTE;

fn of(world: &World, seconds: f64) -> impl Fn(&mut Command) + use<> {
    let key_file = world.key_file().to_owned();
    move |command| {
        command.arg("--credentials-file").arg(&key_file);
        set_clock(command, seconds).unwrap();
    }
}

/// The client reckons with the CA's time, so ten minutes hurt nobody; they are told of all the same.
fn ten_minutes_are_told_and_hurt_nobody(world: &World, trial: &mut Trial, seconds: f64) {
    let told = Failure {
        name: "clock ten minutes off",
        number: 0,
        code: "clock-skew",
        says: &["this machine's clock"],
        rung: "clock",
        fix: "set this machine's clock",
    };
    let usual = instance(Leg::Unix);
    let prepare = of(world, seconds);
    let mount = Mount::tcp(&world.place, usual).unwrap();
    let target = target(&mount);
    let mut proxy = Proxy::start_in(&world.place, &[mount], &prepare).unwrap();
    for (client, answers) in trial.ask(&target) {
        if answers.iter().any(Result::is_err) {
            trial.note(&told, format_args!("{client}: {answers:?}"));
        }
    }
    let log = proxy.process().log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("clock")).collect();
    let [line] = lines[..] else {
        return trial.note(&told, format_args!("not told once in the log:\n{log}"));
    };
    let (_, amount) = line.split_once("behind_seconds=").unwrap();
    let amount: f64 = amount.split(' ').next().unwrap().parse().unwrap();
    if (amount + seconds).abs() > 5.0 {
        trial.note(
            &told,
            format_args!("the log does not say by how much: {line}"),
        );
    }
    let (code, rungs) = diagnosis(usual, &prepare);
    let clock = rungs.iter().find(|rung| rung["rung"] == told.rung).unwrap();
    let text = clock.to_string();
    let is_found = clock["state"] == "warning" && text.contains(told.fix) && text.contains(" s ");
    if code != Some(0) || !is_found {
        trial.note(
            &told,
            format_args!("the doctor ends with {code:?}: {rungs:#?}"),
        );
    }
}

#[test]
fn six_drivers_the_log_and_the_doctor_are_told_of_a_wrong_clock_that_ten_minutes_do_not_hurt() {
    let world = World::start(Flavor::MySql9).unwrap();
    let mut trial = Trial::new();
    for seconds in [-10.0 * MINUTE, 10.0 * MINUTE] {
        ten_minutes_are_told_and_hurt_nobody(&world, &mut trial, seconds);
    }
    trial.fails(
        &world,
        instance(Leg::Unix),
        &of(&world, -3.0 * DAY),
        &Failure {
            name: "clock three days behind",
            number: 1158,
            code: "clock-skew",
            says: &["not valid at this machine's time"],
            rung: "clock",
            fix: "clock",
        },
    );
    trial.end();
}
