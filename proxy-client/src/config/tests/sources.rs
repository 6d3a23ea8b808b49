//! Flags, environment and file: which wins, and what each may say.

use super::*;

/// What flags, variables and a file make together.
fn all(
    flags: &[&str],
    variables: &[(&str, &str)],
    name: &str,
    file: &str,
) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, file).unwrap();
    let flag = format!("--config-file={}", path.display());
    let flags: Vec<&str> = flags.iter().copied().chain(["--token=t", &flag]).collect();
    config_in(&flags, variables).map_err(|complaints| complaints.to_string())
}

fn names(config: Result<Config, String>) -> Vec<String> {
    let instances = config.unwrap().instances;
    instances.iter().map(|one| one.wanted.to_string()).collect()
}

#[test]
fn instances_come_from_one_source_flags_before_variables_before_the_file() {
    const FILE: &str = "instance-connection-name = \"p:r:file\"\n";
    const NAME: (&str, &str) = ("CSQL_PROXY_INSTANCE_CONNECTION_NAME", "p:r:google");
    const LIST: (&str, &str) = ("CSQL_PROXY_INSTANCE", "p:r:one,p:r:two");
    assert_eq!(names(all(&[], &[], "a.toml", FILE)), ["p:r:file"]);
    assert_eq!(names(all(&[], &[NAME], "a.toml", FILE)), ["p:r:google"]);
    assert_eq!(
        names(all(&[], &[NAME, LIST], "a.toml", FILE)),
        ["p:r:one", "p:r:two"]
    );
    assert_eq!(
        names(all(&["p:r:flag"], &[NAME, LIST], "a.toml", FILE)),
        ["p:r:flag"]
    );
    assert_eq!(
        names(all(&["--instance=p:r:flag"], &[NAME, LIST], "a.toml", FILE)),
        ["p:r:flag"]
    );
}

#[test]
fn a_file_counts_instances_as_google_does_and_a_gap_is_no_secret() {
    let yaml = "instance-connection-name: p:r:a?port=1\ninstance-connection-name-1: p:r:b\n\
                instance-connection-name-2: p:r:c\n";
    assert_eq!(
        names(all(&[], &[], "a.yaml", yaml)),
        ["p:r:a", "p:r:b", "p:r:c"]
    );
    let json =
        "{\"instance-connection-name-0\": \"p:r:a\", \"instance-connection-name-1\": \"p:r:b\"}";
    assert_eq!(names(all(&[], &[], "a.json", json)), ["p:r:a", "p:r:b"]);
    let both = "instance = [\"p:r:a\"]\ninstance-connection-name = \"p:r:b\"\n";
    assert_eq!(names(all(&[], &[], "a.toml", both)), ["p:r:a", "p:r:b"]);
    let gap = "instance-connection-name-0 = \"p:r:a\"\ninstance-connection-name-2 = \"p:r:b\"\n";
    let found = all(&[], &[], "a.toml", gap).err().expect("accepted");
    assert!(
        found.contains("instance-connection-name-2: there is a gap"),
        "{found}"
    );
    let typo = "instance-connection-nam = \"p:r:a\"\n";
    assert!(all(&["p:r:a"], &[], "a.toml", typo).is_err());
}

#[test]
fn a_file_that_asks_for_what_is_left_out_hears_why_and_all_at_once() {
    let file = "auto-iam-authn = true\ndebug = true\nfuse = \"/m\"\nsql-data = false\nprot = 1\n";
    let found = all(&["p:r:a"], &[], "a.toml", file)
        .err()
        .expect("accepted");
    for expected in [
        "auto-iam-authn: is Google's",
        "debug: is Google's",
        "fuse: is Google's",
        "prot: there is no such key; did you mean port?",
    ] {
        assert!(found.contains(expected), "{expected} is missing: {found}");
    }
    assert!(!found.contains("sql-data"), "{found}");
    // The keys of Google's own example that there are.
    let file = "debug-logs: true\nport: \"5000\"\nmax-sigterm-delay: 30s\n";
    let config = all(&["p:r:a"], &[], "a.yml", file).ok().unwrap();
    assert_eq!(config.stop.drain_for, Duration::from_secs(30));
}

#[test]
fn the_universe_names_the_ca() {
    let endpoint = |flags: &[&str]| {
        let config = config(flags);
        config.map(|config| config.authority.endpoint)
    };
    let found = endpoint(&["p:r:a", "--universe-domain=csql.example"]).unwrap();
    assert_eq!(found.as_deref(), Some("https://sqladmin.csql.example"));
    assert_eq!(endpoint(&["p:r:a"]).unwrap(), None);
    for bad in ["", "a b", "x/y", "https://x", ".x"] {
        let flag = format!("--universe-domain={bad}");
        assert!(endpoint(&["p:r:a", &flag]).is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn metrics_and_the_port_to_quit_are_as_the_flags_say() {
    let plain = config(&["p:r:a"]).unwrap();
    assert_eq!((plain.metrics_namespace, plain.quit_port), (None, None));
    assert!(!plain.connection_test);
    let flags = [
        "p:r:a",
        "--prometheus-namespace=team_1",
        "--quitquitquit",
        "--run-connection-test",
    ];
    let asked = config(&flags).unwrap();
    assert_eq!(asked.metrics_namespace.as_deref(), Some("team_1"));
    assert_eq!(asked.quit_port, Some(9091));
    assert!(asked.connection_test);
    let asked = config(&["p:r:a", "--quitquitquit", "--admin-port=9192"]).unwrap();
    assert_eq!(asked.quit_port, Some(9192));
    for bad in ["", "1team", "a-b"] {
        assert!(
            complaints(&["p:r:a", &format!("--prometheus-namespace={bad}")])
                .contains("underscores")
        );
    }
}

#[test]
fn a_key_file_that_others_may_read_is_taken_and_noted_wherever_it_is_named_unless_strictness_is_asked_for()
 {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    std::fs::write(&path, key_file()).unwrap();
    let strict = folder.path().join("strict.toml");
    std::fs::write(&strict, "strict-key-file = true\n").unwrap();
    let strict = format!("--config-file={}", strict.display());
    let file = path.to_str().unwrap();
    let flag = format!("--credentials-file={file}");
    let variable = [("GOOGLE_APPLICATION_CREDENTIALS", file)];
    let named: [(&[&str], &[_]); 2] = [(&["db1", &flag], &[]), (&["db1"], &variable)];
    for (flags, variables) in named {
        let noted = |mode: u32, more: &[&str]| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let config = config_in(&[flags, more].concat(), variables);
            config.map(|config| config.authority.exposed_key_file)
        };
        let exposed = ExposedKeyFile {
            path: path.clone(),
            mode: 0o644,
        };
        assert_eq!(noted(0o644, &[]).ok(), Some(Some(exposed)));
        assert_eq!(noted(0o600, &[&strict]).ok(), Some(None));
        let refused = noted(0o644, &[&strict]).expect_err("accepted").to_string();
        assert!(refused.contains(&format!("chmod 600 {file}")), "{refused}");
    }
}

#[test]
fn the_agents_address_may_be_given_for_all_instances_and_for_one() {
    let config = config(&[
        "p:r:a",
        "p:r:b?connect-to=[fd00::1]:4307",
        "--connect-to=agent.example:3307",
    ])
    .unwrap();
    let shown = config.instances.iter().map(|one| one.connect_to.as_ref());
    let shown: Vec<_> = shown.map(|to| to.map(ToString::to_string)).collect();
    let wanted = ["agent.example:3307", "[fd00::1]:4307"].map(|to| Some(to.to_owned()));
    assert_eq!(shown, wanted);
    for wrong in [
        "agent",
        "agent:0",
        ":3307",
        "fd00::1:3307",
        "[x]:1",
        "https://a:1",
    ] {
        let flag = format!("--connect-to={wrong}");
        let found = config_in(&["p:r:a", "--token=t", &flag], &[]);
        let found = found.err().map(|complaints| complaints.to_string());
        let found = found.unwrap_or_default();
        assert!(
            found.contains("connect-to: expected HOST:PORT"),
            "{wrong}: {found}"
        );
    }
}

#[test]
fn the_way_out_is_what_the_environment_says_and_a_wrong_one_is_told_without_its_password() {
    let variables = [
        ("all_proxy", "socks5h://u:p@a.test"),
        ("NO_PROXY", "b.test"),
    ];
    let config = config_in(&["p:r:a", "--token=t"], &variables).unwrap();
    let proxies = config.authority.proxies;
    let shown = proxies
        .of_tunnel("agent.test", 3307)
        .map(ToString::to_string);
    assert_eq!(shown.as_deref(), Some("socks5h://a.test:1080"));
    assert!(proxies.of_tunnel("x.b.test", 3307).is_none());
    let found = config_in(
        &["p:r:a", "--token=t"],
        &[("ALL_PROXY", "socks4://u:secret@a")],
    );
    let found = found.err().expect("accepted").to_string();
    assert!(
        found.contains("ALL_PROXY: names a proxy of kind socks4"),
        "{found}"
    );
    assert!(!found.contains("secret"), "{found}");
}
