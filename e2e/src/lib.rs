//! Real databases and real clients against the real binaries.
