//! When a certificate must not be: faults of ours, CAs near their end, instances that are gone.

use rcgen::ExtendedKeyUsagePurpose::ServerAuth;
use rcgen::SanType::DnsName;

use super::issuing::{key, states};
use super::world::{World, settings};
use crate::issuer::{Issuer, Lifetimes, Order, Plan, Purpose, SubjectKey, leaf_profile};
use crate::vault::Vault;

fn issuer(world: &World) -> Issuer {
    let vault = Vault::open(&world.folder.path().join("data")).unwrap();
    let now = world.now();
    let lifetimes = Lifetimes {
        client: 3600,
        server: 86_400,
    };
    let clock = crate::clock::Clock::new(move || now);
    Issuer::new(
        world.registry.store().clone(),
        vault.into(),
        clock,
        lifetimes,
    )
}

async fn order_with(
    world: &World,
    profile: fn(&Plan) -> crate::error::Result<rcgen::CertificateParams>,
) -> crate::error::Result<proto::admin::SslCert> {
    let instance = world.registry.named_instance("db1").await.unwrap();
    let account = "app@demo.iam.csql.internal".parse().unwrap();
    let key = SubjectKey::from_pem(&key().public_key_pem()).unwrap();
    let order = Order {
        purpose: Purpose::Client,
        instance: &instance,
        account: &account,
        key: &key,
        lifetime: None,
    };
    issuer(world).with_profile(profile).issue(&order).await
}

#[tokio::test]
async fn a_fault_in_the_profile_never_becomes_a_certificate() {
    let (world, _, _) = World::with_db1().await;
    // The control.
    order_with(&world, leaf_profile).await.unwrap();
    let faults: [fn(&mut rcgen::CertificateParams); 8] = [
        |params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained),
        |params| params.is_ca = rcgen::IsCa::NoCa,
        |params| params.key_usages.push(rcgen::KeyUsagePurpose::KeyCertSign),
        |params| params.extended_key_usages.clear(),
        |params| params.extended_key_usages.push(ServerAuth),
        |params| {
            params
                .subject_alt_names
                .push(DnsName("x".try_into().unwrap()));
        },
        |params| params.not_after += time::Duration::hours(1),
        |params| params.serial_number = None,
    ];
    for (at, _) in faults.iter().enumerate() {
        FAULT.with(|fault| fault.set(Some(faults[at])));
        let failed = order_with(&world, faulty).await.unwrap_err();
        assert_eq!(failed.kind(), "inspection", "fault {at}: {failed}");
    }
    let mut counts = (0, 0);
    for (_, _, state) in states(&world).await {
        match state.as_str() {
            "issued" => counts.0 += 1,
            "failed" => counts.1 += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(counts, (1, 8));
    let audited: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM audit WHERE action = 'certificate.issue' AND outcome = 'failed'",
    )
    .fetch_one(&world.registry.store().read())
    .await
    .unwrap();
    assert_eq!(audited, 8);
}

thread_local! {
    static FAULT: std::cell::Cell<Option<fn(&mut rcgen::CertificateParams)>> =
        const { std::cell::Cell::new(None) };
}

fn faulty(plan: &Plan) -> crate::error::Result<rcgen::CertificateParams> {
    let mut params = leaf_profile(plan)?;
    if let Some(fault) = FAULT.with(std::cell::Cell::get) {
        fault(&mut params);
    }
    Ok(params)
}

#[tokio::test]
async fn a_ca_near_its_end_issues_no_more() {
    let (world, client, _) = World::with_db1().await;
    let (near, far) = (key(), key());
    // Ten years, less six lives of a client certificate, and a minute on either side.
    let lifetime = 10 * 365 * 86_400;
    world.pass(lifetime - 6 * 3600 - 60);
    assert_eq!(world.certify(&client, "db1", &far).await.status, 200);
    world.pass(120);
    let answer = world.certify(&client, "db1", &near).await;
    assert_eq!(answer.google_error().0, 500);
    assert!(
        !answer.body.to_string().contains("rotate"),
        "strangers are not told why"
    );
}

#[tokio::test]
async fn a_deleted_instance_issues_nothing_and_its_keys_are_gone() {
    let (world, client, _) = World::with_db1().await;
    let key = key();
    assert_eq!(world.certify(&client, "db1", &key).await.status, 200);
    let instance = world.registry.named_instance("db1").await.unwrap();
    world.registry.delete_instance(&instance).await.unwrap();
    assert_eq!(
        world.certify(&client, "db1", &key).await.google_error().0,
        403
    );
    let keys: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM authorities WHERE instance_id IS NOT NULL")
            .fetch_one(&world.registry.store().read())
            .await
            .unwrap();
    assert_eq!(keys, 0);
    assert_eq!(
        states(&world).await.len(),
        1,
        "what was issued stays on record"
    );
    // A namesake is another instance, with other CAs and no grants.
    world.instance("db1").await;
    let token = world.token(&client, Some(&key)).await;
    assert_eq!(
        world.get(&settings("db1"), &token).await.google_error().0,
        403
    );
}
