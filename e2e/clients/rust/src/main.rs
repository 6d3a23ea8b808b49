//! Runs requests through sqlx or mysql_async, as the first argument says. See ../README.md.

mod asynchronous;
mod request;
mod sqlx_driver;

use std::io::{BufRead as _, Write as _};

use request::{Failure, Request, Rows};
use serde_json::json;

fn main() {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("the only provider");
    let driver = std::env::args().nth(1).expect("the name of a driver");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line of text");
        let request: Request = serde_json::from_str(&line).expect("a request");
        let answer = match runtime.block_on(run(&driver, &request)) {
            Ok(rows) => json!({ "ok": true, "rows": rows }),
            Err(Failure { code, message }) => {
                json!({ "ok": false, "code": code, "message": message })
            }
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}").expect("a reader");
        out.flush().expect("a reader");
    }
}

async fn run(driver: &str, request: &Request) -> Result<Rows, Failure> {
    match (driver, request.op.as_str()) {
        ("sqlx", "query") => sqlx_driver::query(request).await,
        ("mysql_async", "query") => asynchronous::query(request).await,
        ("mysql_async", "change_user") => asynchronous::change_user(request).await,
        (_, "version") => Ok(vec![vec![Some(request::version(driver))]]),
        (driver, op) => Err(Failure::new(format!("{driver} has no {op}"))),
    }
}
