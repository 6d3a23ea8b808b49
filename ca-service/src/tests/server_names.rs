//! The names in an agent's certificate: the administrator's word alone, and enough for applications that verify.

use transport::tls::{TrustRoots, verify_server_certificate};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::issuing::{authority, key, server_certificate};
use super::world::{Caller, World};
use crate::clock::system_time;
use crate::error::Error;
use crate::registry::InstanceChange;

const TUNNEL_NAME: &str = "db1.eu.demo.csql.internal";

async fn leaf(world: &World, agent: &Caller) -> Vec<u8> {
    server_certificate(world, agent, &key()).await.certificate()
}

/// Whether a TLS library that trusts the instance's server CA would take the certificate for that host.
async fn is_for(world: &World, leaf: &[u8], host: &str) -> bool {
    let roots = TrustRoots::from_pem(&authority(world, "db1", "server").await).unwrap();
    verify_server_certificate(leaf, &roots, host, system_time(world.now())).is_ok()
}

async fn change(world: &World, add: &[&str], remove: &[&str]) -> Result<(), Error> {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let change = InstanceChange {
        address: None,
        add: owned(add),
        remove: owned(remove),
    };
    let instance = world.registry.named_instance("db1").await.unwrap();
    world.registry.update_instance(&instance, &change).await
}

#[tokio::test]
async fn an_agents_certificate_is_for_its_instance_this_machine_and_what_was_configured() {
    let (world, _, agent) = World::with_db1().await;
    let leaf = leaf(&world, &agent).await;
    for host in [
        TUNNEL_NAME,
        "localhost",
        "127.0.0.1",
        "::1",
        "192.0.2.10",
        "db.example.com",
        "2001:db8::7",
    ] {
        assert!(is_for(&world, &leaf, host).await, "{host}");
    }
    for host in [
        "db2.eu.demo.csql.internal",
        "demo:db1",
        "example.com",
        "x.db.example.com",
        "localhost.localdomain",
        "127.0.0.2",
        "192.0.2.11",
        "2001:db8::8",
        "::",
    ] {
        assert!(!is_for(&world, &leaf, host).await, "{host}");
    }
}

#[tokio::test]
async fn an_agents_certificate_lists_the_tunnels_name_first_and_is_no_ca() {
    let (world, _, agent) = World::with_db1().await;
    let der = leaf(&world, &agent).await;
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(names.general_names.len(), 7);
    assert_eq!(names.general_names[0], GeneralName::DNSName(TUNNEL_NAME));
    assert_eq!(leaf.version().0, 2, "X.509 version 3");
    assert!(!leaf.is_ca());
    let pem = authority(&world, "db1", "server").await;
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    let ca = pem.parse_x509().unwrap();
    assert!(ca.is_ca() && ca.version().0 == 2);
    assert!(ca.subject_alternative_name().unwrap().is_none());
}

#[tokio::test]
async fn names_come_and_go_with_the_next_certificate() {
    let (world, _, agent) = World::with_db1().await;
    let before = world.registry.store().revision().await.unwrap();
    change(&world, &["new.example.com"], &["db.example.com"])
        .await
        .unwrap();
    assert_eq!(world.registry.store().revision().await.unwrap(), before + 1);
    let leaf = leaf(&world, &agent).await;
    assert!(is_for(&world, &leaf, "new.example.com").await);
    assert!(!is_for(&world, &leaf, "db.example.com").await);
    assert!(is_for(&world, &leaf, TUNNEL_NAME).await);
    let told = change(&world, &[], &["db.example.com"]).await.unwrap_err();
    assert!(told.to_string().contains("new.example.com"), "{told}");
}

#[tokio::test]
async fn every_name_that_is_taken_can_be_certified() {
    let (world, _, agent) = World::with_db1().await;
    let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
    let names = [
        "my_db",
        "_x.example.com",
        "1.example.com",
        "xn--bcher-kva.example",
        "db",
        "::ffff:192.0.2.1",
        longest.as_str(),
    ];
    let spelled = crate::registry::check_names("--add-name", &names.map(str::to_owned)).unwrap();
    let spelled: Vec<&str> = spelled.iter().map(String::as_str).collect();
    assert_eq!(spelled, names);
    change(&world, &spelled, &[]).await.unwrap();
    let leaf = leaf(&world, &agent).await;
    for name in names {
        assert!(is_for(&world, &leaf, name).await, "{name}");
    }
}

#[tokio::test]
async fn two_changes_at_once_are_both_kept() {
    let (world, _, _) = World::with_db1().await;
    let (one, two) = tokio::join!(
        change(&world, &["one.example.com"], &[]),
        change(&world, &["two.example.com"], &[])
    );
    one.unwrap();
    two.unwrap();
    let names = world.registry.named_instance("db1").await.unwrap().names;
    assert_eq!(names.len(), 4, "{names:?}");
}

#[tokio::test]
async fn an_instance_does_not_get_more_names_than_a_certificate_should_bear() {
    let (world, _, _) = World::with_db1().await;
    let many: Vec<String> = (0..30).map(|n| format!("h{n}.example.com")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    change(&world, &many, &[]).await.unwrap();
    let told = change(&world, &["one-too-many"], &[]).await.unwrap_err();
    assert!(told.to_string().contains("not 33"), "{told}");
}

#[tokio::test]
async fn the_agent_has_no_say_in_its_names() {
    let (world, _, agent) = World::with_db1().await;
    let key = key();
    let token = world.token(&agent, Some(&key)).await;
    let path = "/csql/v1/projects/demo/instances/db1:generateServerCert";
    let body = serde_json::json!({
        "publicKey": key.public_key_pem(),
        "names": ["evil.example.com"],
        "hosts": ["evil.example.com"],
        "sans": ["DNS:evil.example.com"],
    });
    let answer = world.post(path, &token, &body).await;
    let names = answer.certificate();
    assert!(!is_for(&world, &names, "evil.example.com").await);
    assert!(!String::from_utf8_lossy(&names).contains("evil"));
}
