//! sqlx.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlSslMode};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use crate::request::{Failure, Request, Rows};

const LIMIT: Duration = Duration::from_secs(20);

pub async fn query(request: &Request) -> Result<Rows, Failure> {
    let options = options(request);
    let mut session: MySqlConnection = tokio::time::timeout(LIMIT, options.connect())
        .await
        .map_err(Failure::new)?
        .map_err(failure)?;
    // As text: any column decodes then.
    let found = sqlx::raw_sql(&request.sql)
        .fetch_all(&mut session)
        .await
        .map_err(failure)?;
    let rows = found
        .iter()
        .map(|row| {
            (0..row.len())
                .map(|column| {
                    row.try_get_unchecked::<Option<String>, _>(column)
                        .map_err(failure)
                })
                .collect()
        })
        .collect::<Result<Rows, Failure>>()?;
    session.close().await.map_err(failure)?;
    Ok(rows)
}

fn options(request: &Request) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .username(&request.login.user)
        .password(&request.login.password)
        .database(&request.login.database)
        .enable_cleartext_plugin(true);
    if let Some(socket) = &request.socket {
        options = options.socket(socket);
    }
    if let Some(host) = &request.host {
        options = options.host(host);
    }
    if let Some(port) = request.port {
        options = options.port(port);
    }
    if let Some(ca) = &request.ca {
        options = options.ssl_ca(ca);
    }
    match request.tls() {
        "off" => options.ssl_mode(MySqlSslMode::Disabled),
        "required" => options.ssl_mode(MySqlSslMode::Required),
        "verify-ca" => options.ssl_mode(MySqlSslMode::VerifyCa),
        "verify-identity" => options.ssl_mode(MySqlSslMode::VerifyIdentity),
        _ => options,
    }
}

fn failure(error: sqlx::Error) -> Failure {
    let database = error.as_database_error();
    let code = database
        .and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>())
        .map_or(0, MySqlDatabaseError::number);
    Failure {
        code,
        message: error.to_string(),
    }
}
