//! `completion`: a script for a shell.

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use daemon::exit::Exit;

use super::{CommandLine, PROGRAM, say};

/// Prints the script.
pub(super) fn print(shell: Shell) -> Exit {
    say::out(&script(shell))
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut command = without_hidden(&CommandLine::command());
    clap_complete::generate(shell, &mut command, PROGRAM, &mut script);
    let script = String::from_utf8_lossy(&script);
    // The generator writes the hyphen of the program's name in two ways, and bash would not know the sub-commands.
    let (one, other) = (
        PROGRAM.replace('-', "__subcmd__"),
        PROGRAM.replace('-', "__"),
    );
    script.replace(&one, &other)
}

/// The command without the flags that are refused: they are hidden in the help, and no script leaves them out.
fn without_hidden(command: &Command) -> Command {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let about = command.get_about().cloned().unwrap_or_default();
    Command::new(command.get_name().to_owned())
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .args(shown.cloned())
        .subcommands(command.get_subcommands().map(without_hidden))
}

#[cfg(test)]
mod tests {
    use std::process::Command as Process;

    use super::*;

    /// The words that bash offers behind a line.
    fn offered(line: &[&str]) -> Vec<String> {
        let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
        let (last, before) = (line[line.len() - 1], line[line.len() - 2]);
        let asked = format!(
            "{}\nCOMP_WORDS=({}); COMP_CWORD={}\n_cloudsql__proxy cloudsql-proxy '{last}' '{before}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script(Shell::Bash),
            words.join(" "),
            line.len() - 1,
        );
        let ended = Process::new("bash").args(["--norc", "-c", &asked]).output();
        let text = String::from_utf8(ended.unwrap().stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn bash_completes_flags_of_the_program_and_of_every_sub_command() {
        for (line, expected) in [
            (&["cloudsql-proxy", "--cred"][..], "--credentials-file"),
            (&["cloudsql-proxy", "doc"], "doctor"),
            (&["cloudsql-proxy", "run", "--cred"], "--credentials-file"),
            (&["cloudsql-proxy", "doctor", "--js"], "--json"),
            (&["cloudsql-proxy", "support-bundle", "--out"], "--output"),
            (&["cloudsql-proxy", "ca-certificate", "--ou"], "--out"),
            (
                &["cloudsql-proxy", "log-level", "--admin"],
                "--admin-socket",
            ),
            (&["cloudsql-proxy", "top", "--on"], "--once"),
            (&["cloudsql-proxy", "completion", "ba"], "bash"),
        ] {
            let found = offered(line);
            assert!(
                found.iter().any(|word| word == expected),
                "{line:?}: {found:?}"
            );
        }
    }

    #[test]
    fn no_script_offers_a_flag_that_is_refused() {
        for shell in [
            Shell::Bash,
            Shell::Zsh,
            Shell::Fish,
            Shell::Elvish,
            Shell::PowerShell,
        ] {
            let script = script(shell);
            assert!(script.contains("credentials-file"), "{shell}");
            for flag in crate::settings::LEFT_OUT {
                let is_word = |text: &str| {
                    script
                        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
                        .any(|word| word == text)
                };
                assert!(
                    !is_word(&format!("--{}", flag.name)),
                    "{shell}: --{}",
                    flag.name
                );
            }
        }
    }
}
