//! What flows once the login is done: large values both ways, many sessions, and an orderly end.

use std::collections::HashSet;

use e2e::agent::Leg;
use e2e::clients::{Client, Target};
use e2e::databases::Flavor;
use e2e::proxy::Mount;
use e2e::tally;
use e2e::world::{World, instance};
use serde_json::json;

const DRIVERS: [Client; 3] = [Client::PyMySql, Client::Mysql2, Client::GoSqlDriver];
const FIVE_MEGABYTES: usize = 5_000_000;

fn carries_large_values_and_many_sessions(flavor: Flavor) {
    let world = World::start(flavor).unwrap();
    let [login, _] = flavor.logins();
    for leg in Leg::ALL {
        for mount in [Mount::tcp, Mount::socket] {
            let mount = mount(&world.place, instance(leg)).unwrap();
            let target = Target::usual(mount.address().clone(), login.clone());
            let _proxy = world.proxy(&[mount]).unwrap();
            for client in DRIVERS {
                let blob = json!({ "op": "blob", "bytes": FIVE_MEGABYTES });
                let back = client.ask(&target, &blob).unwrap().unwrap();
                assert_eq!(
                    back,
                    [[Some(FIVE_MEGABYTES.to_string()), Some("same".to_owned())]]
                );
                let sessions = json!({ "op": "sessions", "count": 20 });
                let ids = client.ask(&target, &sessions).unwrap().unwrap();
                assert_eq!(ids.into_iter().flatten().collect::<HashSet<_>>().len(), 20);
                tally::passed(
                    flavor.name(),
                    client.name(),
                    "5 MB both ways and 20 sessions",
                )
                .unwrap();
            }
        }
    }
}

#[test]
fn five_megabytes_and_twenty_sessions_reach_mysql_9() {
    carries_large_values_and_many_sessions(Flavor::MySql9);
}

#[test]
fn five_megabytes_and_twenty_sessions_reach_mariadb_10_11() {
    carries_large_values_and_many_sessions(Flavor::MariaDb10);
}
