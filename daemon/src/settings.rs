//! Settings: what an operator wrote, as flags, environment or file, before it is checked.
//!
//! A program declares each knob once, as an `Option` field of one struct with clap's and serde's derives, and
//! calls [`overlay!`](crate::overlay) with its fields. [`parse`] reads flags and environment, [`load`] lays them
//! over the file.
//! The program's own `Config` is then made from the result and says what is wrong with it in [`Complaints`].

mod complaint;
mod file;
mod flags;
mod listen;
mod nearest;
mod query;
mod span;
mod value;
mod variables;

pub use complaint::{Complaint, Complaints};
pub use file::{Table, Value, load, load_adapted, load_with_complaints};
pub use flags::{Former, parse, parse_again, parse_with};
pub use listen::Listen;
pub use nearest::nearest;
pub use query::{Known, Query};
pub use span::{NotASpan, Span};
pub use value::{BOOLEAN, boolean, choice};
pub use variables::check_variables;

use crate::exit::Exit;

/// A value that may be absent, with one that takes its place.
pub trait Overlay {
    /// This value, or `lower` where this is absent.
    #[must_use]
    fn over(self, lower: Self) -> Self;
}

impl<T> Overlay for Option<T> {
    fn over(self, lower: Self) -> Self {
        self.or(lower)
    }
}

impl<T> Overlay for Vec<T> {
    fn over(self, lower: Self) -> Self {
        if self.is_empty() { lower } else { self }
    }
}

/// Settings that can come from a file.
pub trait Settings: Overlay + Default + serde::de::DeserializeOwned {
    /// The names of all keys, as the file writes them.
    fn keys() -> Vec<String>;
}

/// Makes a struct of `Option`s and `Vec`s into [`Settings`]. All fields must be named, so none is forgotten.
#[macro_export]
macro_rules! overlay {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::settings::Overlay for $type {
            fn over(self, lower: Self) -> Self {
                let Self { $($field),* } = self;
                Self { $($field: $crate::settings::Overlay::over($field, lower.$field)),* }
            }
        }

        impl $crate::settings::Settings for $type {
            fn keys() -> Vec<String> {
                vec![$(stringify!($field).replace('_', "-")),*]
            }
        }
    };
}

/// Prints complaints on standard error and says how to end.
pub fn complain(program: &str, complaints: &Complaints) -> Exit {
    crate::log::complain(&format!(
        "{program}: the settings are wrong:\n{complaints}\n"
    ));
    Exit::Usage
}
