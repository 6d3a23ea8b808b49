use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;
const BELIEVED_FOR: Duration = Duration::from_secs(60);
const VALID_FOR: Duration = Duration::from_secs(100);

fn identity(instance: &str, account: &str) -> Identity {
    Identity {
        instance: instance.parse().unwrap(),
        account: account.parse().unwrap(),
    }
}

fn grant(account: &str) -> Grant {
    narrowed(account, &["app"], &[])
}

fn narrowed(account: &str, users: &[&str], schemas: &[&str]) -> Grant {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Grant {
        service_account: account.parse().unwrap(),
        db_users: owned(users),
        schemas: owned(schemas),
    }
}

fn settings(accounts: &[&str]) -> AgentSettings {
    AgentSettings {
        kind: String::new(),
        revision: 1,
        connection_name: "p:r:i".parse().unwrap(),
        database_version: "MYSQL_8_4".into(),
        client_ca_cert: String::new(),
        server_ca_cert: String::new(),
        server_names: Vec::new(),
        grants: accounts.iter().map(|account| grant(account)).collect(),
    }
}

fn policy(accounts: &[&str]) -> Policy {
    Policy::new(settings(accounts), None)
}

fn standing(policy: &Policy) -> Standing<'_> {
    Standing {
        policy,
        believed_until: NOW + BELIEVED_FOR,
        too_old: None,
    }
}

fn hello(instance: &str, version: u32) -> Hello {
    Hello {
        version,
        capabilities: vec![],
        session_id: "s".into(),
        instance: instance.into(),
        transport: proto::frame::Transport::Tcp,
        peer: None,
        uid: None,
        client: String::new(),
    }
}

/// Who asks, with what frame, of which policy, when.
type Row<'a> = (
    &'a Identity,
    Option<&'a Hello>,
    Option<&'a Policy>,
    SystemTime,
);

#[test]
fn nobody_is_let_in_unless_every_condition_holds() {
    const APP: &str = "app@p.iam.x";
    let app = identity("p:r:i", APP);
    let other = identity("p:r:i", "other@p.iam.x");
    let elsewhere = identity("p:r:j", APP);
    let (granted, empty) = (policy(&[APP]), policy(&[]));
    let (right, wrong) = (hello("p:r:i", 1), hello("p:r:j", 1));
    let (newer, zero, junk) = (hello("p:r:i", 9), hello("p:r:i", 0), hello("p:r", 1));
    let late = NOW + BELIEVED_FOR + Duration::from_secs(1);
    let later = NOW + VALID_FOR + Duration::from_secs(1);
    let rows: [(Row<'_>, Result<(), Code>); 12] = [
        ((&app, None, None, NOW), Err(Code::NotServed)),
        ((&app, None, Some(&empty), NOW), Err(Code::NoGrant)),
        ((&other, None, Some(&granted), NOW), Err(Code::NoGrant)),
        (
            (&elsewhere, None, Some(&granted), NOW),
            Err(Code::NotServed),
        ),
        ((&app, None, Some(&granted), late), Err(Code::CaUnreachable)),
        (
            (&app, None, Some(&granted), later),
            Err(Code::CertificateRefused),
        ),
        (
            (&app, Some(&wrong), Some(&granted), NOW),
            Err(Code::Protocol),
        ),
        (
            (&app, Some(&junk), Some(&granted), NOW),
            Err(Code::Protocol),
        ),
        (
            (&app, Some(&zero), Some(&granted), NOW),
            Err(Code::Protocol),
        ),
        ((&app, None, Some(&granted), NOW), Ok(())),
        ((&app, Some(&right), Some(&granted), NOW), Ok(())),
        ((&app, Some(&newer), Some(&granted), NOW), Ok(())),
    ];
    for (row, ((identity, hello, policy, now), expected)) in rows.into_iter().enumerate() {
        let asking = Asking {
            identity,
            not_after: NOW + VALID_FOR,
            hello,
        };
        let decision = decide(asking, policy.map(standing), now);
        let outcome = decision.map(|_| ()).map_err(|refusal| refusal.code);
        assert_eq!(outcome, expected, "row {row}");
    }
}

#[test]
fn the_terms_of_the_grant_come_with_the_admission() {
    let asking = Asking {
        identity: &identity("p:r:i", "app@p.iam.x"),
        not_after: NOW + VALID_FOR,
        hello: None,
    };
    let policy = policy(&["other@p.iam.x", "app@p.iam.x"]);
    let admitted = decide(asking, Some(standing(&policy)), NOW).unwrap();
    assert_eq!(admitted.grant, grant("app@p.iam.x"));
    assert_eq!(admitted.engine, Engine::Mysql);
}

#[test]
fn the_operators_engine_wins_over_the_databases_version() {
    let of = |engine| Policy::new(settings(&[]), engine).engine;
    assert_eq!(of(None), Engine::Mysql);
    assert_eq!(of(Some(Engine::Tcp)), Engine::Tcp);
}

#[test]
fn who_does_not_say_who_it_is_gets_in_only_while_the_cas_word_is_believed() {
    let policy = policy(&[]);
    let ask = |standing, now| open(standing, now).map_err(|refusal| refusal.code);
    assert_eq!(ask(None, NOW), Err(Code::CaUnreachable));
    let last = NOW + BELIEVED_FOR;
    assert_eq!(ask(Some(standing(&policy)), last), Ok(Engine::Mysql));
    let late = last + Duration::from_secs(1);
    assert_eq!(ask(Some(standing(&policy)), late), Err(Code::CaUnreachable));
}

#[test]
fn a_narrowed_grant_is_refused_by_every_engine_whose_logins_are_not_read() {
    const APP: &str = "app@p.iam.x";
    let wide = narrowed(APP, &[], &[]);
    let narrow = [
        narrowed(APP, &["app"], &[]),
        narrowed(APP, &[], &["reports"]),
        narrowed(APP, &["app"], &["reports"]),
    ];
    let says = |version: &str, engine, grant: &Grant| {
        let mut settings = settings(&[]);
        settings.database_version = version.into();
        settings.grants.push(grant.clone());
        let policy = Policy::new(settings, engine);
        let identity = identity("p:r:i", APP);
        let asking = Asking {
            identity: &identity,
            not_after: NOW + VALID_FOR,
            hello: None,
        };
        decide(asking, Some(standing(&policy)), NOW)
    };
    for (version, engine, is_enforced) in [
        ("MYSQL_8_4", None, true),
        ("MARIADB_11_8", None, true),
        ("MYSQL_8_4", Some(Engine::Mysql), true),
        ("POSTGRES_15", Some(Engine::Mysql), true),
        ("POSTGRES_15", None, false),
        ("SQLSERVER_2022", None, false),
        ("TCP_REDIS", None, false),
        ("mysql_8_4", None, false),
        ("ORACLE_23", None, false),
        ("", None, false),
        ("MYSQL_8_4", Some(Engine::Postgres), false),
        ("MARIADB_11_8", Some(Engine::Tcp), false),
    ] {
        assert!(says(version, engine, &wide).is_ok(), "{version} {engine:?}");
        for grant in &narrow {
            match says(version, engine, grant) {
                Ok(admitted) => assert!(is_enforced && admitted.grant == *grant, "{version}"),
                Err(refusal) => {
                    assert!(!is_enforced, "{version} {engine:?}");
                    assert_eq!(refusal.code, Code::NoGrant);
                    assert!(refusal.hint.contains("without --db-user"), "{refusal}");
                }
            }
        }
    }
}

#[test]
fn a_policy_that_is_too_old_admits_nobody_by_its_grants_and_still_names_the_engine() {
    let policy = policy(&["app@p.iam.x"]);
    let standing = Standing {
        too_old: Some(Duration::from_secs(4000)),
        ..standing(&policy)
    };
    for account in ["app@p.iam.x", "other@p.iam.x"] {
        let identity = identity("p:r:i", account);
        let asking = Asking {
            identity: &identity,
            not_after: NOW + VALID_FOR,
            hello: None,
        };
        let refusal = decide(asking, Some(standing), NOW).unwrap_err();
        assert_eq!(refusal.code, Code::CaUnreachable);
        assert!(refusal.reason.contains("4000 s"), "{refusal}");
    }
    // Whoever does not say who it is has no grant that could have been taken back.
    assert_eq!(open(Some(standing), NOW).unwrap(), Engine::Mysql);
}
