//! Stages that tests share, and take turns on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use e2e::databases::{DatabaseOptions, Flavor};

use super::stage::Stage;

/// A stage that tests share.
pub(super) struct Shared {
    current: Mutex<Weak<Mutex<Stage>>>,
    flavor: Flavor,
}

/// The MySQL 9 of the tests that leave it as it was.
pub(super) static MYSQL: Shared = Shared::new(Flavor::MySql9);
/// The same of MariaDB 10.11.
pub(super) static MARIADB_10: Shared = Shared::new(Flavor::MariaDb10);
/// The same of MariaDB 11.8.
pub(super) static MARIADB: Shared = Shared::new(Flavor::MariaDb11);

impl Shared {
    const fn new(flavor: Flavor) -> Self {
        Self {
            current: Mutex::new(Weak::new()),
            flavor,
        }
    }

    /// The stage that other tests use now, or a new one.
    pub(super) fn get(&self) -> Arc<Mutex<Stage>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.upgrade().unwrap_or_else(|| {
            let stage = Stage::start(self.flavor, &DatabaseOptions::default());
            let stage = Arc::new(Mutex::new(stage));
            *current = Arc::downgrade(&stage);
            stage
        })
    }
}

/// Waits for one's turn. A test that failed leaves nothing behind that spoils the next one's.
pub(super) fn turn(stage: &Mutex<Stage>) -> MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}
