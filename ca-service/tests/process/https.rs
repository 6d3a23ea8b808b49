//! A certificate of the operator's own for HTTPS, and the root that key files name then.

use std::path::Path;

use super::program::{Site, read_key_file, text};

/// A self-signed certificate for `ca.test` with its key.
fn certificate(site: &Site) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["ca.test".to_owned()]).unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let place = |name: &str, text: &str| {
        let path = site.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    (
        place("tls.crt", &pem),
        place("tls.key", &key.serialize_pem()),
    )
}

fn key_file_of(site: &Site, account: &str) -> Option<String> {
    let path = site.path(&format!("{account}.json"));
    let flag = path.to_str().unwrap();
    site.ok(&["service-accounts", "create", account, "--key-file", flag]);
    read_key_file(&path).csql_root_certificate
}

#[test]
fn key_files_name_the_root_that_vouches_for_https() {
    let site = Site::new();
    let (pem, key) = certificate(&site);
    let own = key_file_of(&site, "before").unwrap();
    site.ok(&["configure", "--https-root", "system"]);
    assert_eq!(key_file_of(&site, "public"), None);
    let described = site.json(&["configure", "--https-root", &pem]);
    assert_eq!(described["httpsRoot"], "file");
    let expected = std::fs::read_to_string(Path::new(&pem)).unwrap();
    assert_eq!(key_file_of(&site, "company"), Some(expected));
    site.ok(&[
        "configure",
        "--endpoint",
        "https://ca.test",
        "--https-root",
        "own",
    ]);
    assert_eq!(key_file_of(&site, "after"), Some(own));
    for wrong in [key.as_str(), "/nowhere", site.data().to_str().unwrap()] {
        let (_, told) = site.fails(&["configure", "--https-root", wrong]);
        assert!(told.contains(wrong), "{told}");
    }
    let both = site.path("both.pem");
    let joined = [&pem, &key].map(|file| std::fs::read_to_string(file).unwrap());
    std::fs::write(&both, joined.concat()).unwrap();
    let (_, told) = site.fails(&["configure", "--https-root", both.to_str().unwrap()]);
    assert!(told.contains("private key"), "{told}");
    assert_eq!(site.fails(&["configure"]).0, 64);
}

#[test]
fn a_certificate_without_its_key_a_key_without_its_certificate_and_either_in_plain_http_are_complaints()
 {
    let site = Site::new();
    let (pem, key) = certificate(&site);
    let (pem, key) = (
        format!("--tls-certificate={pem}"),
        format!("--tls-key={key}"),
    );
    for (flags, complaint) in [
        (vec![pem.as_str()], "tls-key: "),
        (vec![key.as_str()], "tls-certificate: "),
        (
            vec![pem.as_str(), key.as_str(), "--insecure-http"],
            "tls-certificate: ",
        ),
    ] {
        let (code, told) = site.fails(&[&["serve", "--listen=127.0.0.1:0"], &flags[..]].concat());
        assert_eq!(code, 64, "{told}");
        assert!(told.contains(complaint), "{told}");
    }
}

#[test]
fn a_key_that_others_may_read_ends_the_start() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new();
    let (pem, key) = certificate(&site);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = site.run(&[
        "serve",
        "--listen=127.0.0.1:0",
        "--tls-certificate",
        &pem,
        "--tls-key",
        &key,
    ]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("tls.key") && told.contains("chmod 600"),
        "{told}"
    );
}
