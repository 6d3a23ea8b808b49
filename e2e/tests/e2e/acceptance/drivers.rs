//! Rows 6, 7 and 38: drivers that open a session in ways of their own.

use e2e::clients::{Client, Target, Tls};
use e2e::databases::PASSWORD;

use super::checks::{SHOW_USER, app, is_user};
use super::legs::Leg;
use super::shared::{MYSQL, turn};

#[test]
fn row_06_sqlx_which_never_finds_itself_in_the_cache_logs_in_over_tcp_twice() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let target = stage.over_tls(Leg::Tcp, &app());
    stage.database().flush().unwrap();
    for time in ["first", "second"] {
        is_user(stage.query(Client::Sqlx, &target, SHOW_USER), "app", time);
        let trace = stage.login_trace(Leg::Tcp);
        assert!(
            trace.encrypts_the_password(PASSWORD, 2048),
            "{time}: {:?}",
            trace.0
        );
    }
}

#[test]
fn row_07_sqlx_which_asks_for_a_key_on_a_unix_socket_gets_the_agents() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let target = Target::new(stage.socket(Leg::Unix).clone(), app(), Tls::Off);
    is_user(
        stage.cold(Client::Sqlx, &target, SHOW_USER),
        "app",
        "through us",
    );
    assert!(
        stage
            .login_trace(Leg::Unix)
            .sends_the_password_as_it_is(PASSWORD)
    );
    // The database itself does not give it one there.
    let direct = Target::new(stage.directly(Leg::Unix), app(), Tls::Off);
    let refused = stage.cold(Client::Sqlx, &direct, SHOW_USER);
    assert!(refused.is_err(), "{refused:?}");
}

#[test]
fn row_38_drivers_whose_two_first_packets_differ_log_in() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    for client in [Client::Asyncmy, Client::MariadbConnectorJ2] {
        for leg in [Leg::Tcp, Leg::Unix, Leg::Strict] {
            let check = format!("{client} {leg:?}");
            let target = stage.over_tls(leg, &app());
            is_user(stage.cold(client, &target, SHOW_USER), "app", &check);
        }
    }
}
