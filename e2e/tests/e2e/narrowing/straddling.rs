//! A change of user anywhere in a stream of commands: across each edge of the agent's copy buffer, behind a flood of
//! small packets, and where a local file would be due.

use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};
use e2e::agent::Leg;
use e2e::clients::{Address, Login};
use e2e::databases::Flavor;
use e2e::proxy::{Mount, Proxy};
use e2e::raw::{Answer, Raw, ServerError, Wish, capability, encode};
use e2e::wait::{PATIENCE, until};
use e2e::world::{CLIENT_ACCOUNT, World, instance};

/// The agent's copy buffer.
const BUFFER: usize = 128 * 1024;
const PING: [u8; 5] = [1, 0, 0, 0, 0x0E];
const SCHEMA: &str = "appdb";

/// A database whose application may be `app` and nobody else, and one account besides.
struct Narrowed {
    _proxy: Proxy,
    world: World,
    ways: Vec<Address>,
    boss: Login,
}

impl Narrowed {
    fn start(flavor: Flavor) -> Result<Self> {
        let world = World::start(flavor)?;
        let boss = Login::new("boss", "over everybody", SCHEMA);
        let sql = format!(
            "CREATE USER '{0}'@'%' IDENTIFIED BY '{1}'; GRANT ALL ON {SCHEMA}.* TO '{0}'@'%'; \
             SET GLOBAL local_infile = 1",
            boss.user, boss.password
        );
        world.database.execute(&sql)?;
        let mounts = [Leg::Unix, Leg::Tcp].map(|leg| Mount::tcp(&world.place, instance(leg)));
        let mounts: Vec<Mount> = mounts.into_iter().collect::<Result<_>>()?;
        for leg in [Leg::Unix, Leg::Tcp] {
            let of = [
                "--instance",
                instance(leg),
                "--service-account",
                CLIENT_ACCOUNT,
            ];
            let of = [&of[..], &["--role", "client"]].concat();
            world.authority.admin(&[&["ungrant"], &of[..]].concat())?;
            let users = ["--db-user", "app"];
            world
                .authority
                .admin(&[&["grant"], &of[..], &users].concat())?;
        }
        let narrowed = Self {
            _proxy: world.proxy(&mounts)?,
            ways: mounts.iter().map(|mount| mount.address().clone()).collect(),
            world,
            boss,
        };
        narrowed.until_the_grant_works()?;
        Ok(narrowed)
    }

    /// The grant was a wider one a moment ago, and then there was none.
    fn until_the_grant_works(&self) -> Result<()> {
        for way in &self.ways {
            until("the end of the wider grant", PATIENCE, || {
                let refused = Raw::log_in(way, &Wish::new(&self.boss, false)).err();
                Ok(refused.and_then(|error| error.downcast::<ServerError>().ok()))
            })?;
            until("the narrower grant", PATIENCE, || Ok(self.log_in(way).ok()))?;
        }
        Ok(())
    }

    fn app(&self) -> Login {
        let [app, _] = self.world.database.flavor().logins();
        app
    }

    /// A session of `app`.
    fn log_in(&self, way: &Address) -> Result<Raw> {
        Raw::log_in(way, &Wish::new(&self.app(), false))
    }
}

/// COM_CHANGE_USER without an answer to a nonce: the server sends a new one.
fn change_user(to: &Login, raw: &Raw) -> Vec<u8> {
    let plugin = match raw.greeting().plugin.as_str() {
        "caching_sha2_password" => "caching_sha2_password",
        _ => "mysql_native_password",
    };
    let (user, schema) = (to.user.as_bytes(), to.database.as_bytes());
    let parts = [
        b"\x11",
        user,
        b"\0\0",
        schema,
        b"\0\x2d\0",
        plugin.as_bytes(),
        b"\0",
    ];
    encode(0, &parts.concat()).unwrap().0
}

/// A statement that takes so many bytes with its header, nine at least.
fn statement(length: usize) -> Vec<u8> {
    let mut payload = b"\x03DO 1".to_vec();
    payload.resize(length - 4, b' ');
    encode(0, &payload).unwrap().0
}

/// Commands of so many bytes in all, the last ones pings, and their number.
fn commands(bytes: usize, pings: usize) -> (Vec<u8>, usize) {
    let mut rest = bytes - pings * PING.len();
    let (mut all, mut count) = (Vec::with_capacity(bytes), pings);
    while rest > 0 {
        let next = if rest < 2 * 8192 { rest } else { 8192 };
        all.extend(statement(next));
        rest -= next;
        count += 1;
    }
    all.extend(std::iter::repeat_n(PING, pings).flatten());
    assert_eq!(all.len(), bytes);
    (all, count)
}

/// Sends commands that are each answered with OK, and a change of user, all in one go; gives the answer to the last.
/// The agent's refusal may come before the database has answered what was sent before.
fn change_behind(raw: &mut Raw, (mut bytes, count): (Vec<u8>, usize), to: &Login) -> Result<()> {
    bytes.extend(change_user(to, raw));
    let mut writer = raw.socket().twin()?;
    std::thread::scope(|scope| {
        // A session that ends early has been told why.
        scope.spawn(move || drop(writer.write_all(&bytes)));
        for _ in 0..count {
            answered(raw)?;
        }
        change(raw, to)
    })
}

/// Reads an OK.
fn answered(raw: &mut Raw) -> Result<()> {
    raw.set_sequence(1);
    let answer = raw.receive()?.context("the server has closed")?;
    if let Some(error) = ServerError::parse(&answer) {
        return Err(error.into());
    }
    ensure!(answer.first() == Some(&0), "no OK");
    Ok(())
}

/// Follows a change of user that was sent.
fn change(raw: &mut Raw, to: &Login) -> Result<()> {
    raw.set_sequence(1);
    raw.finish_login(&Wish::new(to, false))
}

/// The session became nobody else's. A refusal amid other answers may be hard to read, but it is the agent's.
fn is_refused(outcome: Result<()>, what: &str) {
    let Err(error) = outcome else {
        panic!("{what}: it was let in");
    };
    if let Some(error) = error.downcast_ref::<ServerError>() {
        assert_eq!(error.code, 1045, "{what}: {error:?}");
        assert!(error.text.ends_with("[no-grant]"), "{what}: {error:?}");
    }
}

fn across_every_edge(flavor: Flavor) {
    let narrowed = Narrowed::start(flavor).unwrap();
    let [app, boss] = [narrowed.app(), narrowed.boss.clone()];
    for way in &narrowed.ways {
        let length = change_user(&boss, &narrowed.log_in(way).unwrap()).len();
        for offset in 0..=length {
            let what = format!("{} by {way}, {offset} before the edge", flavor.name());
            let before = || commands(2 * BUFFER - offset, 40);
            let mut raw = narrowed.log_in(way).unwrap();
            is_refused(change_behind(&mut raw, before(), &boss), &what);
            let mut raw = narrowed.log_in(way).unwrap();
            let (bytes, count) = before();
            raw.write(&bytes).unwrap();
            (0..count).for_each(|_| answered(&mut raw).unwrap());
            raw.write(&change_user(&app, &raw)).unwrap();
            change(&mut raw, &app).unwrap_or_else(|error| panic!("{what}: {error:#}"));
            assert_eq!(
                raw.text("SELECT CURRENT_USER()").unwrap(),
                "app@%",
                "{what}"
            );
        }
    }
}

fn behind_a_flood(flavor: Flavor) {
    const PINGS: usize = 140_000;
    let narrowed = Narrowed::start(flavor).unwrap();
    for way in &narrowed.ways {
        for more in [0, 9, 11] {
            let before = commands(PINGS * PING.len() + more, PINGS);
            let mut raw = narrowed.log_in(way).unwrap();
            let what = format!("{} by {way}, {more} more", flavor.name());
            is_refused(change_behind(&mut raw, before, &narrowed.boss), &what);
        }
    }
}

/// A database that was asked for a local file leaves the payload of a wrong packet unread, and takes commands from there.
fn without_local_files(flavor: Flavor) {
    let narrowed = Narrowed::start(flavor).unwrap();
    for way in &narrowed.ways {
        let what = format!("{} by {way}", flavor.name());
        let mut raw = narrowed.log_in(way).unwrap();
        let offered = raw.greeting().capabilities & capability::LOCAL_FILES;
        assert_eq!(offered, 0, "{what}");
        let load = b"LOAD DATA LOCAL INFILE 'rows' INTO TABLE loaded";
        let refused = raw.query(load).unwrap();
        let Answer::Error(error) = refused else {
            panic!("{what}: {refused:?}");
        };
        assert!(
            [1148, 3948, 4166].contains(&error.code),
            "{what}: {error:?}"
        );
        assert_eq!(raw.text("SELECT CURRENT_USER()").unwrap(), "app@%");
        let hidden = [&[9; 4][..], &change_user(&narrowed.boss, &raw)].concat();
        raw.write(&encode(9, &hidden).unwrap().0).unwrap();
        ends_out_of_step(&mut raw, 9);
    }
}

/// Numbers that are not due end the session; neither the agent nor the database takes the packet for a change of user.
fn with_a_wrong_number(flavor: Flavor) {
    let narrowed = Narrowed::start(flavor).unwrap();
    for way in &narrowed.ways {
        for number in [1, 2, 255] {
            let mut raw = narrowed.log_in(way).unwrap();
            let mut change = change_user(&narrowed.boss, &raw);
            change[3] = number;
            raw.write(&change).unwrap();
            ends_out_of_step(&mut raw, number);
        }
    }
}

fn ends_out_of_step(raw: &mut Raw, number: u8) {
    raw.set_sequence(number.wrapping_add(1));
    let said = raw.receive().unwrap().expect("a word before the end");
    let error = ServerError::parse(&said).expect("an ERR packet");
    assert_eq!(error.code, 1043, "{error:?}");
    assert!(error.text.ends_with("[protocol]"), "{error:?}");
}

#[test]
fn a_change_of_user_across_any_edge_of_the_copy_buffer_is_judged_on_mysql_9() {
    across_every_edge(Flavor::MySql9);
}

#[test]
fn a_change_of_user_across_any_edge_of_the_copy_buffer_is_judged_on_mariadb_10_11() {
    across_every_edge(Flavor::MariaDb10);
}

#[test]
fn a_change_of_user_across_any_edge_of_the_copy_buffer_is_judged_on_mariadb_11_8() {
    across_every_edge(Flavor::MariaDb11);
}

#[test]
fn a_change_of_user_behind_a_flood_of_small_packets_is_judged() {
    for flavor in [Flavor::MySql9, Flavor::MariaDb10, Flavor::MariaDb11] {
        behind_a_flood(flavor);
    }
}

#[test]
fn a_narrowed_session_has_no_local_files_to_hide_a_change_of_user_in() {
    for flavor in [Flavor::MySql9, Flavor::MariaDb10, Flavor::MariaDb11] {
        without_local_files(flavor);
    }
}

#[test]
fn a_change_of_user_with_a_wrong_number_ends_the_session() {
    for flavor in [Flavor::MySql9, Flavor::MariaDb10, Flavor::MariaDb11] {
        with_a_wrong_number(flavor);
    }
}
