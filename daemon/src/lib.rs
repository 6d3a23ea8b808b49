//! What every daemon has: settings, log, metrics, health, shutdown.
