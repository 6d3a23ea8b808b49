//! The agent's way to the CA, as the environment names it.

use crate::ca::Ca;
use crate::process::program;

#[tokio::test]
async fn a_proxy_variable_that_says_nonsense_ends_the_start_with_its_name_and_without_its_password()
{
    let ca = Ca::start().await;
    for (variable, value) in [
        ("ALL_PROXY", "nonsense://ann:canary@proxy.test"),
        ("all_proxy", "socks5://ann:canary@"),
        ("HTTPS_PROXY", "http://ann:canary@proxy.test:99999"),
    ] {
        let output = program()
            .args(["--instance=p:r:i", "--listen=127.0.0.1:0"])
            .arg("--database=tcp:127.0.0.1:1")
            .arg(format!("--credentials-file={}", ca.key_file().display()))
            .env(variable, value)
            .output()
            .await
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        // Whichever way it is written, one name is told.
        assert!(text.contains(&variable.to_uppercase()), "{text}");
        assert!(!text.contains("canary"), "{text}");
        assert_eq!(output.status.code(), Some(1), "{text}");
    }
}
