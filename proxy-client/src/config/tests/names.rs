//! Domains in place of instances, and services of DNS in place of addresses.

use super::*;

fn wanted(text: &str) -> Wanted {
    config(&[text]).unwrap().instances.remove(0).wanted
}

#[test]
fn a_name_with_dots_and_no_colon_is_a_domain() {
    for domain in [
        "db1.corp.example",
        "db.example.",
        "_db._mysql.x-1.example",
        "a.b",
    ] {
        let bare = domain.trim_end_matches('.').to_owned();
        assert_eq!(wanted(domain), Wanted::Domain(bare), "{domain}");
    }
    let given = wanted("db1.corp.example?port=3310");
    assert_eq!(given, Wanted::Domain("db1.corp.example".to_owned()));
    // The project of a domain's own is no domain.
    assert!(matches!(wanted("example.com:p:r:i"), Wanted::Full(_)));
}

#[test]
fn what_is_no_domain_is_refused_with_what_is_expected() {
    let long = format!("{}.example", "a".repeat(64));
    for text in [
        "DB.example",
        "db..example",
        ".example",
        "db.example..",
        "a.-db.example",
        "db-.example",
        "10.0.0.7",
        "db.1x",
        "d b.example",
        "dü.example",
        &long,
        &format!("{}b", "a.".repeat(127)),
    ] {
        let text = complaints(&[text]);
        assert!(text.contains("db1.corp.example"), "{text}");
    }
}

#[test]
fn agents_may_be_where_dns_has_a_service() {
    for (text, expected) in [
        (
            "_csql._tcp.db.example",
            ConnectTo::Service("_csql._tcp.db.example".into()),
        ),
        (
            "db.example:3307",
            ConnectTo::Host("db.example:3307".parse().unwrap()),
        ),
    ] {
        assert_eq!(text.parse(), Ok(expected));
    }
    for wrong in [
        "_csql",
        "_csql._tcp",
        "csql._tcp.example",
        "_._tcp.x",
        "_a._b.c d",
    ] {
        let problem = wrong.parse::<ConnectTo>().unwrap_err();
        assert!(problem.contains("_csql._tcp.db.example"), "{problem}");
    }
}

#[test]
fn how_domains_are_followed_is_a_setting() {
    let failover = |flags: &[&str]| {
        let flags: Vec<&str> = ["db.example"].iter().chain(flags).copied().collect();
        let Failover { period, grace, .. } = config(&flags).unwrap().failover;
        (period, grace)
    };
    let seconds = Duration::from_secs;
    assert_eq!(failover(&[]), (seconds(30), None));
    let given = failover(&["--failover-period=5s", "--switch-grace=0s"]);
    assert_eq!(given, (seconds(5), Some(Duration::ZERO)));
    // DNS is not asked all the time.
    assert_eq!(failover(&["--failover-period=0s"]).0, seconds(1));
}
