use super::*;
use crate::config::tests::config;

fn assigned(names: &[&str], instances: &[&str]) -> Result<Vec<usize>, String> {
    let instances = config(instances).unwrap().instances;
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    assign(&names, &instances).map_err(|wrong| wrong.to_string())
}

fn refused(names: &[&str], instances: &[&str]) -> String {
    assigned(names, instances).expect_err("accepted")
}

#[test]
fn a_name_is_the_instances_own_or_the_whole_one_with_points() {
    let instances = ["p:r:a", "p:r:b", "example.com:p:r:c"];
    for (names, expected) in [
        (&["b", "a"][..], &[1, 0][..]),
        (&["p.r.b"], &[1]),
        (&["example.com.p.r.c"], &[2]),
    ] {
        assert_eq!(assigned(names, &instances).as_deref(), Ok(expected));
    }
    assert_eq!(
        assigned(&["q.r.a"], &["p:r:a", "q:r:a"]).as_deref(),
        Ok(&[1][..])
    );
}

#[test]
fn names_that_fit_none_or_several_or_come_twice_are_all_complained_about() {
    let text = refused(&["c", "", "a", "p.r.a"], &["p:r:a", "p:r:b"]);
    for problem in [
        "LISTEN_FDNAMES \"c\": is the name of no instance",
        "LISTEN_FDNAMES \"\": is the name of no instance",
        "LISTEN_FDNAMES \"p.r.a\": is handed over twice",
    ] {
        assert!(text.contains(problem), "{problem} is missing:\n{text}");
    }
    assert_eq!(text.lines().count(), 3, "{text}");
    let text = refused(&["a"], &["p:r:a", "q:r:a"]);
    assert!(text.contains("fits several instances"), "{text}");
    let text = refused(&["a"], &["p:r:a?port=1", "p:r:a?port=2"]);
    assert!(text.contains("fits several instances"), "{text}");
}

#[test]
fn what_is_for_another_process_is_left_alone_and_names_must_be_as_many_as_descriptors() {
    let found = |pid: &str, count: &str, given: &str| {
        let variables = [(PID, pid), (COUNT, count), (NAMES, given)];
        let environment: Environment = variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        names(&environment).map_err(|wrong| wrong.to_string())
    };
    let me = std::process::id().to_string();
    assert_eq!(found(&me, "2", "a:b").unwrap(), ["a", "b"]);
    assert!(found("1", "2", "a:b").unwrap().is_empty());
    assert!(found("", "2", "a:b").unwrap().is_empty());
    assert!(found(&me, "", "a:b").unwrap().is_empty());
    assert!(found(&me, "0", "").unwrap().is_empty());
    for (count, given) in [("2", "a"), ("1", "a:b"), ("many", "a"), ("2", "")] {
        let text = found(&me, count, given).expect_err("accepted");
        assert!(text.contains("as many names"), "{text}");
    }
}
