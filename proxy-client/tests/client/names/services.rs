//! Agents that are where DNS has a service.

use super::*;
use crate::dns::srv;

#[tokio::test]
async fn a_service_of_dns_leads_to_its_hosts_in_order_and_on_when_the_first_is_dead() {
    let stand = Stand::new().await;
    let port = stand.agents[0].address.port();
    stand.dns.says(vec![
        ("_csql._tcp.corp.test.", srv(20, port, "second.test.")),
        ("_csql._tcp.corp.test.", srv(10, port, "first.test.")),
        ("first.test.", a(FIRST)),
        ("second.test.", a(SECOND)),
    ]);
    let mut told = stand.world.instance("demo:eu:db1");
    told.connect_to = Some("_csql._tcp.corp.test".parse().unwrap());
    // The port is the record's.
    told.tunnel_port = 1;
    let client = stand.client(told, None).await;
    client.assert_works().await;
    assert_eq!(stand.counts(), [1, 0]);
    stand.agents[0].stop().await;
    client.assert_works().await;
    assert_eq!(stand.counts(), [1, 1]);
    // What was known counts while DNS fails.
    stand.dns.fails();
    client.assert_works().await;
    assert_eq!(stand.counts(), [1, 2]);
}

#[tokio::test]
async fn a_service_that_is_nowhere_is_named() {
    let stand = Stand::new().await;
    stand.dns.says(Vec::new());
    let mut told = stand.world.instance("demo:eu:db1");
    told.connect_to = Some("_csql._tcp.corp.test".parse().unwrap());
    let client = stand.client(told, None).await;
    let (_, text) = error(&client.heard().await);
    assert!(text.contains("_csql._tcp.corp.test"), "{text}");
    assert!(text.contains("has no SRV record"), "{text}");
}

#[tokio::test]
async fn the_ca_may_name_a_service_of_dns_as_an_instances_address() {
    let stand = Stand::new().await;
    let port = stand.agents[0].address.port();
    stand.dns.says(vec![
        ("_csql._tcp.corp.test.", srv(10, port, "first.test.")),
        ("first.test.", a(FIRST)),
    ]);
    let instance = stand.world.ca.knows(Instance {
        address: "_csql._tcp.corp.test",
        ..Instance::new("demo:eu:db3")
    });
    stand.agents[0].serves(&instance);
    let client = stand
        .client(stand.world.instance("demo:eu:db3"), None)
        .await;
    client.assert_works().await;
    assert_eq!(stand.counts(), [1, 0]);
}

#[tokio::test]
async fn while_dns_is_silent_connections_go_where_agents_were() {
    let stand = Stand::new().await;
    let port = stand.agents[0].address.port();
    stand.dns.says(vec![
        ("_csql._tcp.corp.test.", srv(10, port, "first.test.")),
        ("first.test.", a(FIRST)),
    ]);
    let mut told = stand.world.instance("demo:eu:db1");
    told.connect_to = Some("_csql._tcp.corp.test".parse().unwrap());
    let client = stand.client(told, None).await;
    client.assert_works().await;
    stand.dns.is_silent();
    // The first may wait for each name; not one after the other.
    let sessions = async {
        for _ in 0..20 {
            client.assert_works().await;
        }
    };
    timeout(PATIENCE, sessions).await.expect("all have waited");
    assert_eq!(stand.counts(), [21, 0]);
}
