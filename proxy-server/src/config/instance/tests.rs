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
    assert!(problems("p:r:i?databse=y")[0].contains("did you mean database?"));
    assert!(problems("p:r:i?port=1")[0].contains("there are database, engine, inner-tls,"));
    assert!(problems("p:r:i")[0].contains("no database"));
    assert_eq!(problems("P:r:i?database=unix:/x").len(), 1);
    assert_eq!(problems("../x?database=unix:/x").len(), 1);
    let wrong =
        "p:r:i?database=unix:/x&mysql-listen=3306&proxy-protocol=yes&database-fingerprint=ab";
    assert_eq!(problems(wrong).len(), 3);
}

#[test]
fn a_percent_that_escapes_nothing_stands_for_itself() {
    assert_eq!(decoded("100%"), "100%");
    assert_eq!(decoded("%+1%zz%41"), "%+1%zzA");
}

#[test]
fn a_short_name_means_any_region_and_a_full_one_its_own() {
    let name: InstanceName = "p:r:i".parse().unwrap();
    assert!(Wanted::parse("i").unwrap().is(&name));
    assert!(Wanted::parse("p:r:i").unwrap().is(&name));
    assert!(!Wanted::parse("p:r2:i").unwrap().is(&name));
    assert!(!Wanted::parse("j").unwrap().is(&name));
}
