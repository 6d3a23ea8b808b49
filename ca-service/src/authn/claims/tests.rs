//! Claims, judged without a server.

use proptest::prelude::*;

use super::*;

const NOW: Seconds = 1_800_000_000;

fn claims(iat: Seconds, exp: Seconds) -> Claims {
    Claims {
        iss: "app@p.iam.x".to_owned(),
        sub: Some("app@p.iam.x".to_owned()),
        aud: Some("https://ca/token".to_owned()),
        scope: None,
        iat,
        exp,
        nbf: None,
        jti: Some("0123456789abcdef".to_owned()),
        cnf: None,
    }
}

fn expectation(leeway: Seconds) -> Expectation<'static> {
    Expectation {
        purpose: Use::Token,
        mode: Mode::Strict,
        account: "app@p.iam.x",
        token_url: "https://ca/token",
        now: NOW,
        leeway,
    }
}

proptest! {
    #[test]
    fn nothing_is_accepted_beyond_the_leeway(
        iat in -10_000_i64..10_000,
        life in -100_i64..5_000,
        leeway in 0_i64..=60,
    ) {
        let claims = claims(NOW + iat, NOW + iat + life);
        let accepted = check(&claims, &expectation(leeway)).is_ok();
        let allowed = life > 0
            && life <= MAX_LIFETIME
            && iat <= leeway
            && iat + life > -leeway;
        prop_assert_eq!(accepted, allowed);
    }

    #[test]
    fn times_of_any_size_do_not_overflow(iat: i64, exp: i64, nbf: Option<i64>) {
        let claims = Claims { nbf, ..claims(iat, exp) };
        let judged = check(&claims, &expectation(60));
        prop_assert!(judged.is_err() || (iat - NOW).abs() <= 2 * MAX_LIFETIME);
    }
}

#[test]
fn scopes_are_read_and_written_alike() {
    for (asked, api, login) in [
        (SCOPE_ADMIN, true, false),
        (SCOPE_LOGIN, false, true),
        (SCOPE_CLOUD_PLATFORM, true, true),
        ("", false, false),
        ("openid sqlservice.admin", false, false),
    ] {
        let scopes = Scopes::granted(asked);
        assert_eq!(scopes, Scopes { api, login }, "{asked}");
        assert_eq!(Scopes::granted(&scopes.text()), scopes);
    }
}
