//! mysql_async.

use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{ChangeUserOpts, Conn, Error, OptsBuilder, Row, SslOpts, Value};

use crate::request::{Failure, Request, Rows};

const LIMIT: Duration = Duration::from_secs(20);

pub async fn query(request: &Request) -> Result<Rows, Failure> {
    let mut session = connect(request).await?;
    let rows = run(&mut session, &request.sql).await?;
    session.disconnect().await.map_err(failure)?;
    Ok(rows)
}

pub async fn change_user(request: &Request) -> Result<Rows, Failure> {
    let to = request
        .to
        .clone()
        .ok_or_else(|| Failure::new("`to` is missing"))?;
    let mut session = connect(request).await?;
    let mut rows = run(&mut session, &request.sql).await?;
    if let Some(between) = &request.between {
        run(&mut session, between).await?;
    }
    let change = ChangeUserOpts::default()
        .with_user(Some(to.user))
        .with_pass(Some(to.password))
        .with_db_name(Some(to.database));
    session.change_user(change).await.map_err(failure)?;
    rows.extend(run(&mut session, &request.sql).await?);
    session.disconnect().await.map_err(failure)?;
    Ok(rows)
}

async fn connect(request: &Request) -> Result<Conn, Failure> {
    let mut options = OptsBuilder::default()
        .user(Some(&request.login.user))
        .pass(Some(&request.login.password))
        .db_name(Some(&request.login.database))
        .enable_cleartext_plugin(true)
        .prefer_socket(false)
        .ssl_opts(encryption(request))
        .socket(request.socket.clone());
    if let Some(host) = &request.host {
        options = options.ip_or_hostname(host.clone());
    }
    if let Some(port) = request.port {
        options = options.tcp_port(port);
    }
    tokio::time::timeout(LIMIT, Conn::new(options))
        .await
        .map_err(Failure::new)?
        .map_err(failure)
}

fn encryption(request: &Request) -> Option<SslOpts> {
    let options = SslOpts::default();
    let roots = || request.ca.clone().map(Into::into).into_iter().collect();
    match request.tls() {
        "required" => Some(options.with_danger_accept_invalid_certs(true)),
        "verify-ca" => Some(
            options
                .with_root_certs(roots())
                .with_danger_skip_domain_validation(true),
        ),
        "verify-identity" => Some(options.with_root_certs(roots())),
        _ => None,
    }
}

async fn run(session: &mut Conn, sql: &str) -> Result<Rows, Failure> {
    let rows: Vec<Row> = session.query(sql).await.map_err(failure)?;
    Ok(rows
        .into_iter()
        .map(|row| row.unwrap().into_iter().map(text).collect())
        .collect())
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(format!("{other:?}")),
    }
}

fn failure(error: Error) -> Failure {
    let code = match &error {
        Error::Server(server) => server.code,
        _ => 0,
    };
    Failure {
        code,
        message: error.to_string(),
    }
}
