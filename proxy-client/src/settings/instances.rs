//! Instances of the environment and of the settings file, counted as Google's proxy counts them.

use daemon::environment::Environment;
use daemon::settings::{Complaints, Table, Value};
use daemon::text::clean;

/// Our own variable: a list with commas.
const LIST: &str = "CSQL_PROXY_INSTANCE";
/// Variables that are read without a flag of that name; the last one has numbers behind it, too.
pub(crate) const VARIABLES: [&str; 3] = [LIST, NAME, "CSQL_PROXY_INSTANCE_CONNECTION_NAME_"];
/// Google's, and the same with `_0`, `_1` and so on.
const NAME: &str = "CSQL_PROXY_INSTANCE_CONNECTION_NAME";
/// The same in a file, with `-0`, `-1` and so on.
const KEY: &str = "instance-connection-name";

/// The instances that variables name: the list, else the plain name and the numbers to the first gap.
pub(super) fn of_environment(environment: &Environment) -> Vec<String> {
    if let Some(list) = environment.get(LIST) {
        return list.split(',').map(|name| clean(name).to_owned()).collect();
    }
    let plain = environment.get(NAME);
    let numbered = |number: usize| environment.get(&format!("{NAME}_{number}"));
    // Behind the plain name counting may begin with 1.
    let first = usize::from(plain.is_some() && numbered(0).is_none());
    let numbered = (first..).map_while(numbered);
    plain
        .into_iter()
        .chain(numbered)
        .map(str::to_owned)
        .collect()
}

/// Makes one list of the file's instances, whichever way they are written.
pub(super) fn of_file(table: &mut Table, file: &str, complaints: &mut Complaints) {
    let mut found: Vec<Value> = Vec::new();
    let first = usize::from(table.contains_key(KEY) && !table.contains_key(&format!("{KEY}-0")));
    found.extend(table.remove(KEY));
    for number in first.. {
        match table.remove(&format!("{KEY}-{number}")) {
            Some(name) => found.push(name),
            None => break,
        }
    }
    let numbers = table
        .keys()
        .filter(|key| key.strip_prefix(KEY).is_some_and(is_number));
    let behind: Vec<String> = numbers.cloned().collect();
    for key in behind {
        table.remove(&key);
        complaints.add(
            format!("{file}: {key}"),
            "there is a gap before this number: count without one",
        );
    }
    if found.is_empty() {
        return;
    }
    match table.get_mut("instance") {
        Some(Value::Array(list)) => list.extend(found),
        Some(_) => complaints.add(format!("{file}: instance"), "expected a list of instances"),
        None => {
            table.insert("instance".to_owned(), Value::Array(found));
        }
    }
}

fn is_number(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}
