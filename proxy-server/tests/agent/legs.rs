//! Database legs.
