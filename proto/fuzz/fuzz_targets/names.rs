//! Names and certificate identities: what parses must read back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::{AccountName, Identity, InstanceName};

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<InstanceName>() {
        assert_eq!(name.to_string(), text);
    }
    if let Ok(name) = text.parse::<AccountName>() {
        assert_eq!(name.to_string(), text);
    }
    if let Ok(identity) = text.parse::<Identity>() {
        assert_eq!(identity.to_string(), text);
    }
});
