//! cloudsql-ca: verifies service-account JWTs and issues short-lived certificates.
