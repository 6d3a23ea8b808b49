//! Rows 14 and 16: another user in the same session, the database's cache emptied in between.

use e2e::clients::{Answer, Client, Login, Target};
use e2e::databases::PASSWORD;
use serde_json::json;

use super::checks::app;
use super::legs::Leg;
use super::shared::{MYSQL, turn};
use super::stage::Stage;

const WHO: &str = "SELECT CURRENT_USER(), CONNECTION_ID(), \
                   (SELECT VARIABLE_VALUE FROM performance_schema.session_status WHERE VARIABLE_NAME = 'Compression')";

/// An account that may empty the cache itself.
fn flusher(stage: &Stage) -> Login {
    let login = stage.account(
        "app_flusher",
        "WITH caching_sha2_password BY '{}'",
        PASSWORD,
    );
    let grant = "GRANT RELOAD ON *.* TO 'app_flusher'@'%'";
    stage.database().execute(grant).unwrap();
    login
}

/// Becomes `app` with the cache empty.
fn become_app(client: Client, target: &Target, compress: bool) -> Answer {
    let to = json!({ "user": app().user, "password": app().password, "database": app().database });
    let operation = json!({
        "op": "change_user",
        "sql": WHO,
        "between": "FLUSH PRIVILEGES",
        "to": to,
        "compress": compress,
    });
    client.ask(target, &operation).unwrap()
}

/// Both users, in one session; gives back whether it is compressed.
fn is_one_session(answer: Answer, check: &str) -> bool {
    let rows = answer.unwrap_or_else(|error| panic!("{check}: {error}"));
    let [before, after] = rows.as_slice() else {
        panic!("{check}: {rows:?}");
    };
    assert_eq!(before[0].as_deref(), Some("app_flusher@%"), "{check}");
    assert_eq!(after[0].as_deref(), Some("app@%"), "{check}");
    assert!(
        before[1].is_some() && before[1] == after[1],
        "{check}: {rows:?}"
    );
    assert_eq!(before[2], after[2], "{check}");
    before[2].as_deref() == Some("ON")
}

#[test]
fn row_14_the_user_changes_within_the_session_over_tcp_and_unix() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let login = flusher(&stage);
    for client in [Client::MysqlClient, Client::PhpMysqli, Client::Mysql2] {
        for leg in Leg::PLAIN {
            let check = format!("{client} {leg:?}");
            let answer = become_app(client, &stage.over_tls(leg, &login), false);
            assert!(!is_one_session(answer, &check), "{check}");
            let trace = stage.change_trace(leg);
            let cold = match leg {
                Leg::Unix => trace.sends_the_password_as_it_is(PASSWORD),
                _ => trace.encrypts_the_password(PASSWORD, 2048),
            };
            assert!(cold, "{check}: {:?}", trace.0);
        }
    }
}

#[test]
fn row_16_compression_is_withheld_where_it_would_hide_the_change_of_user() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    let login = flusher(&stage);
    for (leg, compressed) in [(Leg::Tcp, false), (Leg::Unix, true)] {
        let check = format!("{leg:?}");
        let answer = become_app(Client::MysqlClient, &stage.over_tls(leg, &login), true);
        assert_eq!(is_one_session(answer, &check), compressed, "{check}");
    }
}
