//! Instances that are named by a domain, and agents that are found by DNS.

mod services;
mod stand;

use std::time::Duration;

use proxy_client::config::{Place, Refresh};
use proxy_client::doctor::{Report, Rung, State, examine};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::agent::{Agent, GREETING, Manner};
use crate::ca::Instance;
use crate::dns::{a, txt};
use crate::world::{Client, PATIENCE, assert_echoes, error, first_words};
use stand::{DOMAIN, FIRST, SECOND, Stand};

async fn session(client: &Client) -> TcpStream {
    let mut app = client.connect().await;
    assert_eq!(first_words(&mut app).await, GREETING);
    app
}

/// Opens sessions until one is of this instance.
async fn leads_to(client: &Client, agent: &Agent, instance: &str) -> TcpStream {
    let begun = Instant::now();
    loop {
        let app = session(client).await;
        let last = agent.hellos().pop().unwrap();
        if last.instance == instance {
            return app;
        }
        assert!(begun.elapsed() < PATIENCE, "it never leads to {instance}");
    }
}

async fn ends(app: &mut TcpStream) {
    let mut byte = [0];
    let read = timeout(PATIENCE, app.read(&mut byte)).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn a_domain_stands_for_the_instance_that_its_txt_record_names() {
    let stand = Stand::new().await;
    let records = ["a note", "demo:eu:db2", "demo:eu:db1"].map(|text| ("db.corp.test.", txt(text)));
    stand.dns.says(records.to_vec());
    let client = stand.client(stand.instance(), None).await;
    client.assert_works().await;
    // The first in the order of the alphabet.
    let hellos = stand.world.agent.hellos();
    assert_eq!(hellos.last().unwrap().instance, "demo:eu:db1");

    // Applications find it under the name that was given.
    assert_eq!(client.mounts[0].0, DOMAIN);
    let folder = tempfile::tempdir().unwrap();
    let mut instance = stand.instance();
    instance.place = Place::UnixFolder(folder.path().to_owned());
    let client = stand.client(instance, None).await;
    let path = folder.path().join(DOMAIN);
    assert_eq!(client.mounts[0].1, path.display().to_string());
}

#[tokio::test]
async fn a_domain_that_says_nothing_is_complained_about_until_it_says_something() {
    let stand = Stand::new().await;
    stand.dns.says(vec![("other.test.", txt("demo:eu:db1"))]);
    let client = stand.client(stand.instance(), None).await;
    let (_, text) = error(&client.heard().await);
    for part in ["[settings]", DOMAIN, "TXT", "project:region:instance"] {
        assert!(text.contains(part), "{text}");
    }
    stand
        .dns
        .says(vec![("db.corp.test.", txt("not an instance"))]);
    client.hears_until("is the name of an instance").await;
    stand.dns.fails();
    client.hears_until("DNS does not tell the TXT record").await;
    stand.dns.says(vec![("db.corp.test.", txt("demo:eu:db1"))]);
    client.works_after().await;
}

#[tokio::test]
async fn when_an_agent_behind_a_name_dies_sessions_go_through_the_other_and_those_there_stay() {
    let stand = Stand::new().await;
    stand.dns.says(vec![
        ("db.corp.test.", txt("demo:eu:db1")),
        ("db.corp.test.", a(FIRST)),
        ("db.corp.test.", a(SECOND)),
    ]);
    let client = stand.client(stand.by_address(), None).await;
    client.assert_works().await;
    // What the CA says is not where these are.
    assert_eq!(stand.world.agent.hellos().len(), 0);
    // Whichever comes first, it dies; then it comes back, and dies again under a session.
    let counts = stand.counts();
    let (dying, staying) = if counts == [1, 0] { (0, 1) } else { (1, 0) };
    assert_eq!(counts[dying], 1);
    stand.agents[dying].stop().await;
    let mut kept = session(&client).await;
    assert_eq!(stand.agents[staying].hellos().len(), 1);
    stand.agents[dying].restart().await;
    let mut lost = loop {
        let app = session(&client).await;
        if stand.agents[dying].hellos().len() == 2 {
            break app;
        }
    };
    stand.agents[dying].stop().await;
    ends(&mut lost).await;
    let mut new = session(&client).await;
    assert_echoes(&mut new).await;
    assert_echoes(&mut kept).await;
}

#[tokio::test]
async fn when_the_record_changes_new_sessions_go_to_the_other_instance_and_open_ones_stay() {
    let stand = Stand::new().await;
    stand.dns.says(vec![("db.corp.test.", txt("demo:eu:db1"))]);
    let client = stand.client(stand.instance(), None).await;
    let agent = &stand.world.agent;
    let mut old = leads_to(&client, agent, "demo:eu:db1").await;
    stand.dns.says(vec![("db.corp.test.", txt("demo:eu:db2"))]);
    let mut new = leads_to(&client, agent, "demo:eu:db2").await;
    // And is asked again, twice: nothing comes later either.
    timeout(PATIENCE, stand.dns.is_asked(6)).await.unwrap();
    assert_echoes(&mut old).await;
    assert_echoes(&mut new).await;
}

#[tokio::test]
async fn sessions_of_the_instance_before_end_after_the_grace_where_that_is_asked_for() {
    let stand = Stand::new().await;
    stand.dns.says(vec![("db.corp.test.", txt("demo:eu:db1"))]);
    let client = stand.client(stand.instance(), Some(Duration::ZERO)).await;
    let agent = &stand.world.agent;
    let mut old = leads_to(&client, agent, "demo:eu:db1").await;
    stand.dns.says(vec![("db.corp.test.", txt("demo:eu:db2"))]);
    ends(&mut old).await;
    let mut new = leads_to(&client, agent, "demo:eu:db2").await;
    timeout(PATIENCE, stand.dns.is_asked(6)).await.unwrap();
    assert_echoes(&mut new).await;
}

#[tokio::test]
async fn dns_that_fails_or_forgets_the_name_changes_nothing() {
    let stand = Stand::new().await;
    stand.dns.says(vec![("db.corp.test.", txt("demo:eu:db1"))]);
    let client = stand.client(stand.instance(), Some(Duration::ZERO)).await;
    let mut open = session(&client).await;
    stand.dns.fails();
    timeout(PATIENCE, stand.dns.is_asked(4)).await.unwrap();
    client.assert_works().await;
    stand.dns.says(Vec::new());
    timeout(PATIENCE, stand.dns.is_asked(4)).await.unwrap();
    client.assert_works().await;
    assert_echoes(&mut open).await;
}

#[tokio::test]
async fn while_dns_is_silent_connections_do_not_wait_for_it_one_after_the_other() {
    let stand = Stand::new().await;
    stand.dns.says(vec![("db.corp.test.", txt("demo:eu:db1"))]);
    let client = stand.client(stand.instance(), None).await;
    client.assert_works().await;
    stand.dns.is_silent();
    timeout(PATIENCE, stand.dns.is_asked(1)).await.unwrap();
    // Whoever waits at all, waits a second.
    let sessions = async {
        for _ in 0..20 {
            client.assert_works().await;
        }
    };
    timeout(PATIENCE, sessions).await.expect("all have waited");
}

#[tokio::test]
async fn where_agents_do_not_answer_or_are_anothers_the_domain_is_looked_up_at_once() {
    let stand = Stand::new().await;
    for (at, name, address) in [
        (0, "demo:eu:db5", "127.0.0.2"),
        (1, "demo:eu:db6", "127.0.0.3"),
    ] {
        let instance = stand.world.ca.knows(Instance {
            address,
            ..Instance::new(name)
        });
        stand.agents[at].serves(&instance);
    }
    let hour = Duration::from_secs(3600);
    let (domain, refresh) = (stand.by_address(), Refresh::Ahead);
    stand.dns.says(vec![("db.corp.test.", txt("demo:eu:db5"))]);
    let client = stand.client_that(domain.clone(), hour, None, refresh).await;
    client.assert_works().await;
    stand.dns.says(vec![("db.corp.test.", txt("demo:eu:db6"))]);
    stand.agents[0].stop().await;
    client.works_after().await;
    assert_eq!(stand.counts(), [1, 1]);
    stand.agents[0].restart().await;

    // The address leads elsewhere before the text is looked at again: there is another instance's agent.
    let says = |instance, address| {
        let records = vec![
            ("db.corp.test.", txt(instance)),
            ("db.corp.test.", a(address)),
        ];
        stand.dns.says(records);
    };
    says("demo:eu:db5", FIRST);
    let client = stand.client_that(domain, hour, None, refresh).await;
    client.assert_works().await;
    assert_eq!(stand.counts(), [2, 1]);
    says("demo:eu:db6", SECOND);
    client.works_after().await;
    assert_eq!(stand.counts(), [2, 2]);
}

#[tokio::test]
async fn without_a_background_a_connection_looks_the_domain_up() {
    let stand = Stand::new().await;
    stand.dns.says(vec![("db.corp.test.", txt("demo:eu:db1"))]);
    let period = Duration::from_millis(20);
    let client = stand
        .client_that(stand.instance(), period, None, Refresh::Lazy)
        .await;
    let agent = &stand.world.agent;
    leads_to(&client, agent, "demo:eu:db1").await;
    stand.dns.says(vec![("db.corp.test.", txt("demo:eu:db2"))]);
    leads_to(&client, agent, "demo:eu:db2").await;
}

#[tokio::test]
async fn new_credentials_are_tried_with_the_instance_that_a_domain_stands_for() {
    let stand = Stand::new().await;
    stand.dns.says(vec![("db.corp.test.", txt("demo:eu:db1"))]);
    let (hour, refresh) = (Duration::from_secs(3600), Refresh::Ahead);
    let client = stand
        .client_that(stand.instance(), hour, None, refresh)
        .await;
    let mut open = session(&client).await;
    let reload = client.running.as_ref().unwrap().reload();
    let config = stand.world.config(vec![stand.instance()]);
    reload.apply(config).await.unwrap();
    client.assert_works().await;
    assert_echoes(&mut open).await;
    stand
        .dns
        .says(vec![("db.corp.test.", txt("demo:eu:unknown"))]);
    let config = stand.world.config(vec![stand.instance()]);
    let error = reload.apply(config).await.err().unwrap().to_string();
    assert!(error.contains(DOMAIN), "{error}");
    assert_echoes(&mut open).await;
}

#[tokio::test]
async fn the_doctor_begins_with_the_domain_and_ends_where_its_agents_are() {
    let stand = Stand::new().await;
    stand.world.agent.manner(Manner::Silent);
    let examined = async || {
        let mut config = stand.world.config(vec![stand.instance()]);
        config.dial_timeout = Duration::from_secs(2);
        config.failover.names = stand.dns.names.clone();
        let mut reports = examine(config, stand.world.client_time.clock()).await;
        reports.remove(0)
    };
    let broken = |report: &Report| {
        let mut found = report.rungs.iter();
        let broken = found.find(|one| one.state == State::Broken);
        broken.map(|one| (one.rung, one.code.unwrap_or_default()))
    };
    stand.dns.says(Vec::new());
    let report = examined().await;
    assert_eq!(broken(&report), Some((Rung::Settings, "settings")));
    assert!(report.text().contains(DOMAIN), "{}", report.text());
    stand.dns.says(vec![("db.corp.test.", txt("demo:eu:db1"))]);
    let report = examined().await;
    let there = format!("127.0.0.1:{}", stand.world.agent.address.port());
    assert_eq!(broken(&report), Some((Rung::Database, "deadline")));
    assert!(report.text().contains(&there), "{}", report.text());
}
