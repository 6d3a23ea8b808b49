//! The login matrix: every client against every database, account and way between, with a cold cache.
//!
//! A [`Cell`] is one login. [`Reason::of`] says of each cell whether it can work at all; [`run()`] tries them; a cell is
//! red when it fails without a reason, or works in spite of one.

mod cell;
mod document;
mod reasons;
mod run;
mod stand;

pub use cell::{Cell, Far, Kind, Near, Plugin};
pub use document::{document, tables};
pub use reasons::Reason;
pub use run::{Outcome, Report, Verdict, expected, run};
