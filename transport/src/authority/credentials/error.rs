//! Reasons why credentials cannot be used, each with its remedy. The texts show no part of a file's content.

/// Credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("cannot be read: {source}; check the path and that this user may read it")]
    Unreadable {
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The path is a directory.
    #[error(
        "is a directory; Docker makes one where the file to be mounted does not exist: give the path of the key file"
    )]
    Directory,
    /// The content of a key file stands where its path belongs.
    #[error(
        "is the content of a key file and not its path; write it to a file that only this user may read, and give its path"
    )]
    NotAPath,
    /// The file is longer than any key file.
    #[error("is longer than 256 KiB, which no key file is; give the .json key file")]
    TooLong,
    /// Others may read it.
    #[error(
        "may be read by others (mode {mode:o}), who could be this account with it; run: chmod 600 {path}"
    )]
    Exposed {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The file or the variable is empty.
    #[error("is empty; write the key file again")]
    Empty,
    /// The JSON ends too early, as when its writer was interrupted.
    #[error("is cut off at line {line}: the JSON does not end; copy the whole file again")]
    CutOff {
        /// The last line.
        line: usize,
    },
    /// The JSON is damaged.
    #[error(
        "is not JSON (line {line}, column {column}); copy the whole key file again, without changes"
    )]
    NotJson {
        /// The line of the first wrong character.
        line: usize,
        /// Its column.
        column: usize,
    },
    /// The content is of another kind, which is named with its remedy.
    #[error("is {found}")]
    Foreign {
        /// The kind of the content, and the remedy.
        found: &'static str,
    },
    /// The JSON has a type that is not supported.
    #[error("has type {found:?}; a key file has type \"service_account\"")]
    WrongType {
        /// The type, as far as it is a plain word.
        found: String,
    },
    /// A member is missing or empty.
    #[error("has no {member}; make a new key with `cloudsql-ca keys create`")]
    Missing {
        /// The member's name.
        member: &'static str,
    },
    /// A user's credentials lack a member.
    #[error(
        "is a user's login without all of its members; run: gcloud auth application-default login"
    )]
    BadLogin,
    /// The private key does not sign.
    #[error(
        "has a private_key that is not an RSA key in PEM; make a new key with `cloudsql-ca keys create`"
    )]
    BadKey,
    /// A member has a wrong type.
    #[error(
        "does not have the members of a key file with text in each; make a new key with `cloudsql-ca keys create`"
    )]
    BadShape,
}
