use super::*;
use crate::config::direct;
use crate::settings::Settings;
use daemon::settings::Complaints;

fn parsed(text: &str, common: &Common) -> Parsed {
    let direct = direct::common(&Settings::default(), &mut Complaints::default());
    parse(text, common, &direct)
}

fn problems(text: &str) -> Vec<String> {
    parsed(text, &Common::default()).problems
}

#[test]
fn parameters_behind_the_name_win_over_the_common_ones() {
    let database: Database = "tcp:127.0.0.1:3306".parse().unwrap();
    let common = Common {
        database: Some(database.clone()),
        engine: Some(Engine::Mysql),
        inner_tls: Some(InnerTls::Require),
        ..Common::default()
    };
    let text = "p:r:i?database=unix:/a%26b&engine=tcp&inner-tls=off&mysql-listen=[::1]:1&proxy-protocol=true\
        &database-ca=/x&database-name=db";
    let instance = parsed(text, &common).instance.unwrap();
    assert_eq!(instance.direct.unwrap().listen.port(), 1);
    assert!(instance.proxy_protocol);
    assert_eq!(instance.leg.ca, Some("/x".into()));
    assert_eq!(instance.leg.name.as_deref(), Some("db"));
    assert_eq!(instance.inner_tls, Some(InnerTls::Off));
    assert_eq!(instance.database, Database::Unix("/a&b".into()));
    assert_eq!(instance.engine, Some(Engine::Tcp));
    let instance = parsed("db1", &common).instance.unwrap();
    assert_eq!(instance.inner_tls, Some(InnerTls::Require));
    assert_eq!(instance.database, database);
    assert_eq!(instance.engine, Some(Engine::Mysql));
    assert_eq!(instance.wanted, Wanted::Short("db1".into()));
    assert_eq!(instance.direct, None);
}

#[test]
fn every_problem_of_an_instance_is_told() {
    assert_eq!(
        problems("p:r:i?database=x&engine=oracle&databse=y").len(),
        3
    );
    assert!(problems("p:r:i?database=/x&databse=y")[0].contains("did you mean database?"));
    assert!(
        problems("p:r:i?database=/x&port=1")[0].contains("there are database, engine, inner-tls,")
    );
    assert!(problems("p:r:i")[0].contains("no database"));
    assert_eq!(problems("P:r:i?database=unix:/x").len(), 1);
    assert_eq!(problems("../x?database=unix:/x").len(), 1);
    let wrong =
        "p:r:i?database=unix:/x&mysql-listen=3306&proxy-protocol=maybe&database-fingerprint=ab";
    assert_eq!(problems(wrong).len(), 3);
}

#[test]
fn each_wrong_parameter_is_told_once_and_never_as_a_missing_database() {
    for (query, expected) in [
        ("database=%zz", "database has a broken percent sign"),
        ("database=unix:/a%", "database has a broken percent sign"),
        ("database=unix:/a%00", "database has a broken percent sign"),
        ("database=", "database is empty"),
        ("database", "database is empty"),
        (
            "database=unix:/a&database=unix:/b",
            "database is given twice",
        ),
        ("database=unix:/a&engine=", "engine is empty"),
        (
            "database=unix:/a&engine=mysql&engine=tcp",
            "engine is given twice",
        ),
        (
            "database=unix:/a&proxy-protocol=perhaps",
            "proxy-protocol: expected true or false",
        ),
        (
            "database=unix:/a&mysql-listen=3306",
            "mysql-listen: expected HOST:PORT",
        ),
        (
            "database=unix:/a&colour=red",
            "there is no parameter colour",
        ),
    ] {
        let found = problems(&format!("p:r:i?{query}"));
        assert!(found[0].contains(expected), "{query}: {found:?}");
        assert_eq!(found.len(), 1, "{query}: {found:?}");
    }
}

#[test]
fn values_are_read_through_what_surrounds_them() {
    let text = " p:r:i ?database=/run/db.sock%0A&proxy-protocol=yes&mysql-listen=localhost:1&engine='mysql'";
    let instance = parsed(text, &Common::default()).instance.unwrap();
    assert_eq!(instance.database, Database::Unix("/run/db.sock".into()));
    assert!(instance.proxy_protocol);
    assert_eq!(instance.direct.unwrap().listen.to_string(), "127.0.0.1:1");
    assert_eq!(instance.engine, Some(Engine::Mysql));
    let on = parsed("i?database=/a&proxy-protocol", &Common::default());
    assert!(on.instance.unwrap().proxy_protocol);
}

#[test]
fn a_password_in_the_place_of_a_database_is_not_shown() {
    let text = "db1?database=mysql://root:secret@db/app";
    assert_eq!(shown(text), "instance db1?database=mysql://...@db/app");
    assert_eq!(shown("db1?database=/x"), "instance db1?database=/x");
    assert!(!problems(text).concat().contains("secret"));
}

#[test]
fn a_short_name_means_any_region_and_a_full_one_its_own() {
    let name: InstanceName = "p:r:i".parse().unwrap();
    assert!(Wanted::parse("i").unwrap().is(&name));
    assert!(Wanted::parse("p:r:i").unwrap().is(&name));
    assert!(!Wanted::parse("p:r2:i").unwrap().is(&name));
    assert!(!Wanted::parse("j").unwrap().is(&name));
}
