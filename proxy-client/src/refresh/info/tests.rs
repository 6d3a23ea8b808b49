//! What is taken from the CA's settings.

use proto::admin::{DnsNameMapping, IpMapping};

use super::*;

fn address(kind: &str, ip: &str) -> IpMapping {
    IpMapping {
        kind: kind.into(),
        ip_address: ip.into(),
    }
}

fn settings() -> ConnectSettings {
    ConnectSettings {
        region: "eu".into(),
        ip_addresses: vec![
            address("PRIMARY", "192.0.2.1"),
            address("OUTGOING", "192.0.2.9"),
            address("PRIMARY", "192.0.2.2"),
            address("PRIVATE", "10.0.0.1"),
            address("PRIMARY", ""),
        ],
        ..ConnectSettings::default()
    }
}

#[test]
fn the_route_chooses_among_the_addresses_and_keeps_their_order() {
    let mut settings = settings();
    let of = |route, settings: &ConnectSettings| addresses(route, settings).ok();
    let public = Some(vec!["192.0.2.1".to_owned(), "192.0.2.2".to_owned()]);
    let private = Some(vec!["10.0.0.1".to_owned()]);
    assert_eq!(of(Route::Public, &settings), public);
    assert_eq!(of(Route::Private, &settings), private);
    assert_eq!(of(Route::Either, &settings), public);
    settings
        .ip_addresses
        .retain(|address| address.kind == "PRIVATE");
    assert_eq!(of(Route::Public, &settings), None);
    assert_eq!(of(Route::Either, &settings), private);
}

#[test]
fn private_service_connect_is_the_instances_own_name_and_no_other() {
    let name = |name: &str, connection_type: &str, dns_scope: &str| DnsNameMapping {
        name: name.into(),
        connection_type: connection_type.into(),
        dns_scope: dns_scope.into(),
        ..DnsNameMapping::default()
    };
    let mut settings = settings();
    let found = |settings: &ConnectSettings| addresses(Route::Psc, settings);
    let error = found(&settings).err().map(|error| error.to_string());
    let error = error.expect("an address was found");
    assert!(error.contains("PRIVATE_SERVICE_CONNECT"), "{error}");
    settings.dns_names = vec![
        name("public.example", "PUBLIC", "INSTANCE"),
        name("all.example", "PRIVATE_SERVICE_CONNECT", "CLUSTER"),
        name("one.example.", "PRIVATE_SERVICE_CONNECT", "INSTANCE"),
    ];
    assert_eq!(found(&settings).ok(), Some(vec!["one.example".to_owned()]));
}

#[test]
fn a_full_name_must_be_in_the_cas_region_and_a_short_one_learns_it() {
    let full = |text: &str| Wanted::Full(text.parse().unwrap());
    let short = Wanted::Short {
        project: "p".into(),
        instance: "i".into(),
    };
    let name = |wanted: &Wanted| {
        full_name(wanted, &settings())
            .ok()
            .map(|name| name.to_string())
    };
    assert_eq!(name(&full("p:eu:i")).as_deref(), Some("p:eu:i"));
    assert_eq!(name(&full("p:us:i")), None);
    assert_eq!(name(&short).as_deref(), Some("p:eu:i"));
    let nowhere = ConnectSettings::default();
    assert!(matches!(
        full_name(&short, &nowhere),
        Err(RefreshError::Unnamed)
    ));
}

#[test]
fn the_newer_form_of_the_dns_name_wins() {
    let mut settings = settings();
    assert_eq!(dns_name(&settings), None);
    settings.dns_name = "old.example".into();
    assert_eq!(dns_name(&settings).as_deref(), Some("old.example"));
    settings.dns_names = vec![DnsNameMapping {
        name: "new.example".into(),
        ..DnsNameMapping::default()
    }];
    assert_eq!(dns_name(&settings).as_deref(), Some("new.example"));
}
