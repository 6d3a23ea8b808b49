//! cloudsql-proxy-server: the agent beside the database.
