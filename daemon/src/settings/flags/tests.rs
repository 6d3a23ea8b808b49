use super::*;

#[derive(Debug, clap::Parser)]
struct Flags {
    #[arg(short, long, env = "DAEMON_TEST_PORT")]
    port: Option<u16>,
    #[arg(long)]
    limit: Option<u32>,
    names: Vec<String>,
}

fn given(flags: &[&str]) -> Vec<OsString> {
    std::iter::once("x")
        .chain(flags.iter().copied())
        .map(OsString::from)
        .collect()
}

#[test]
fn a_bad_flag_ends_with_the_usage_code_and_help_with_success() {
    let parse = |flag: &str| parse::<Flags>(given(&[flag]));
    assert_eq!(parse("--port=1").ok().and_then(|flags| flags.port), Some(1));
    assert_eq!(parse("--port=no").err(), Some(Exit::Usage));
    assert_eq!(parse("--prot=1").err(), Some(Exit::Usage));
    assert_eq!(parse("--help").err(), Some(Exit::Success));
}

#[test]
fn all_that_is_wrong_is_found_however_it_is_written() {
    for (flags, expected) in [
        (&["--prot=1", "--limit=x", "--colour"][..], 3),
        (&["--limit", "x", "--port", "y", "name"], 2),
        (&["-p", "x", "--prot"], 2),
        (&["--port=x"], 1),
        (&["--prot", "--prot", "--limit=1"], 2),
        // Help is no complaint, and what is only missing because it was taken away is none either.
        (&["--prot", "--help"], 1),
    ] {
        let mut given = Given::new(given(flags));
        let first = given.read::<Flags>().unwrap_err();
        let found = further::<Flags>(&mut given, first).0.len();
        assert_eq!(found, expected, "{flags:?}");
    }
}

#[test]
fn the_flags_that_are_right_are_asked_for_more_where_others_are_wrong_and_only_there() {
    let asked = |flags: &[&str]| {
        let mut asked = None;
        let parsed = parse_with::<Flags>(
            given(flags),
            |_, _| None,
            |flags| {
                asked = Some((flags.port, flags.names));
                Complaints::default()
            },
        );
        (parsed.is_ok(), asked)
    };
    assert_eq!(asked(&["--port=1", "name"]), (true, None));
    let names = vec!["name".to_owned()];
    let rest = Some((Some(1), names));
    assert_eq!(
        asked(&["--port=1", "--prot=2", "name", "--limit=x"]),
        (false, rest)
    );
    // The name may be the value of what is not known.
    assert_eq!(asked(&["--port=1", "--prot", "name"]), (false, None));
    assert_eq!(asked(&["--help"]), (false, None));
}

/// What is taken away of arguments, and how often there is a complaint.
fn former(flags: &[&str]) -> (Vec<String>, String) {
    let advice: Former = |name, value| (name == "dir").then(|| format!("say --limit ({value:?})"));
    let mut given = Given::new(given(flags));
    let complaints = given.take_away_former(&<Flags as clap::CommandFactory>::command(), advice);
    let left = given.arguments.iter().skip(1);
    let left = left.map(|argument| argument.to_str().unwrap().to_owned());
    (left.collect(), complaints.to_string())
}

#[test]
fn flags_of_a_predecessor_are_explained_and_letters_are_no_names() {
    for (flags, left, expected) in [
        (
            &["-port=1", "x"][..],
            &["x"][..],
            "-port: is written --port",
        ),
        (&["-limit", "7"], &["7"], "-limit: is written --limit"),
        (&["--dir=/x"], &[], "--dir: say --limit (Some(\"/x\"))"),
        (&["-dir", "/x"], &["/x"], "-dir: say --limit (None)"),
        (
            &["-p=1", "-p1", "--port=1"],
            &["-p=1", "-p1", "--port=1"],
            "",
        ),
        (
            &["-xyz=1", "--colour", "-1.5"],
            &["-xyz=1", "--colour", "-1.5"],
            "",
        ),
        (&["--", "-port=1", "-dir"], &["--", "-port=1", "-dir"], ""),
    ] {
        let (kept, found) = former(flags);
        assert_eq!(kept, left, "{flags:?}");
        assert_eq!(found.trim(), expected, "{flags:?}");
    }
    let secret = former(&["-port=secret"]).1;
    assert!(!secret.contains("secret"), "{secret}");
}
