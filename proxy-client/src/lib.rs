//! cloudsql-proxy: the client beside the application.
