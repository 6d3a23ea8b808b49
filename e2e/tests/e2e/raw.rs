//! What no driver sends and every stranger may, against real databases: the rows of the login acceptance list that
//! need packets by hand or a network of their own, by their numbers; and that what follows a login passes untouched.

#[path = "raw/bounds.rs"]
mod bounds;
#[path = "raw/commands.rs"]
mod commands;
#[path = "raw/identity.rs"]
mod identity;
#[path = "raw/network.rs"]
mod network;
#[path = "raw/opening.rs"]
mod opening;
#[path = "raw/scans.rs"]
mod scans;
#[path = "raw/silence.rs"]
mod silence;
#[path = "raw/stand.rs"]
mod stand;
#[path = "raw/untouched.rs"]
mod untouched;
#[path = "raw/way.rs"]
mod way;
