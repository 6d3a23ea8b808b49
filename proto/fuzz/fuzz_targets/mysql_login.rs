//! Both faces of the MySQL login at once. The first byte of a turn says who speaks, the second how much.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::frame::Transport;
use proto::machine::{Face, Inputs, Machine as _, Step};
use proto::mysql::{DatabaseLeg, InnerTls, Login, LoginOptions, Outcome};

fuzz_target!(|bytes: &[u8]| {
    let Some((setup, mut rest)) = bytes.split_first() else { return };
    let mut login = Login::new(LoginOptions {
        application: if setup & 1 == 0 { Transport::Tcp } else { Transport::Unix },
        database: match setup & 6 {
            0 => DatabaseLeg::Plain,
            2 => DatabaseLeg::Unix,
            _ => DatabaseLeg::Tls,
        },
        rsa_key: None,
        allowed_users: if setup & 8 == 0 { vec![] } else { vec!["app".to_owned()] },
        allowed_schemas: vec![],
        inner_tls: match setup & 48 {
            0 => InnerTls::Off,
            16 => InnerTls::Require,
            _ => InnerTls::Allow,
        },
    });
    let mut inputs = Inputs::default();
    while let Some((&[who, length], tail)) = rest.split_first_chunk::<2>() {
        let face = if who & 1 == 0 { Face::Database } else { Face::Application };
        let (turn, tail) = tail.split_at(usize::from(length).min(tail.len()));
        inputs.of(face).extend_from_slice(turn);
        rest = tail;
        loop {
            match login.step(&mut inputs) {
                Ok(Step::Send(..)) => {}
                Ok(Step::NeedInput | Step::Done(Outcome::StartTls)) => break,
                Ok(Step::Done(_)) | Err(_) => return,
            }
        }
    }
});
