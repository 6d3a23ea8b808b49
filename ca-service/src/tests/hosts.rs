//! Requests of web pages.

use super::world::World;

const PATHS: [&str; 4] = ["/livez", "/readyz", "/metrics", "/openapi.json"];

async fn status(world: &World, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = world.client.get(world.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn over_plain_http_a_host_is_an_address_localhost_or_the_endpoints() {
    let world = World::start().await;
    let endpoint = world.registry.profile().await.unwrap().endpoint;
    let own = crate::https::endpoint_host(&endpoint).unwrap();
    for (host, expected) in [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1", 200),
        ("10.0.0.7:443", 200),
        ("[::1]:8080", 200),
        (own.as_str(), 200),
        ("attacker.test", 403),
        ("attacker.test:8080", 403),
        ("localhost.attacker.test", 403),
        ("localhost@attacker.test", 403),
        ("127.0.0.1.attacker.test", 403),
        ("", 403),
    ] {
        for path in PATHS {
            let found = status(&world, path, &[("host", host)]).await;
            assert_eq!(found, expected, "{path} {host:?}");
        }
    }
    // Before the credentials are looked at, and so before they are tried.
    let request = world.client.post(world.url("/token"));
    let request = request.header("host", "attacker.test").body("");
    assert_eq!(request.send().await.unwrap().status().as_u16(), 400);
}

#[tokio::test]
async fn a_probe_with_an_origin_is_refused() {
    let world = World::start().await;
    for origin in ["https://attacker.test", "null", "http://localhost:8080"] {
        for path in ["/livez", "/readyz", "/metrics"] {
            let found = status(&world, path, &[("origin", origin)]).await;
            assert_eq!(found, 403, "{path} {origin}");
        }
    }
}
