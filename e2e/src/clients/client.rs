//! Which clients there are, and how each is run.

use std::fmt;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Answer, SqlError, Target, command_line};
use crate::drivers::Driver;

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// `mysql` 9.
    MysqlCli,
    /// `mariadb` 10.11.
    MariadbCli,
    /// `mariadb` 11.8, which verifies certificates unless told not to.
    MariadbCli11,
    /// PyMySQL.
    PyMySql,
    /// mysql-connector-python, its Python half.
    ConnectorPythonPure,
    /// mysql-connector-python, its C half.
    ConnectorPythonC,
    /// mysqlclient.
    MysqlClient,
    /// aiomysql.
    Aiomysql,
    /// asyncmy.
    Asyncmy,
    /// mysql2 for Node.
    Mysql2,
    /// mariadb for Node.
    MariadbNode,
    /// mysqli of PHP.
    PhpMysqli,
    /// PDO of PHP.
    PhpPdo,
    /// DBD::mysql of Perl.
    PerlMysql,
    /// DBD::MariaDB of Perl.
    PerlMariadb,
    /// go-sql-driver.
    GoSqlDriver,
    /// MySQL Connector/J.
    ConnectorJ,
    /// MariaDB Connector/J.
    MariadbConnectorJ,
    /// MariaDB Connector/J 2.7, whose handshake response is not as its SSLRequest was. Not in [`Client::ALL`].
    MariadbConnectorJ2,
    /// sqlx for Rust.
    Sqlx,
    /// mysql_async for Rust.
    MysqlAsync,
}

impl Client {
    /// All that people use today.
    pub const ALL: [Self; 20] = [
        Self::MysqlCli,
        Self::MariadbCli,
        Self::MariadbCli11,
        Self::PyMySql,
        Self::ConnectorPythonPure,
        Self::ConnectorPythonC,
        Self::MysqlClient,
        Self::Aiomysql,
        Self::Asyncmy,
        Self::Mysql2,
        Self::MariadbNode,
        Self::PhpMysqli,
        Self::PhpPdo,
        Self::PerlMysql,
        Self::PerlMariadb,
        Self::GoSqlDriver,
        Self::ConnectorJ,
        Self::MariadbConnectorJ,
        Self::Sqlx,
        Self::MysqlAsync,
    ];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MysqlCli => "mysql 9 CLI",
            Self::MariadbCli => "mariadb 10.11 CLI",
            Self::MariadbCli11 => "mariadb 11.8 CLI",
            Self::PyMySql => "PyMySQL",
            Self::ConnectorPythonPure => "mysql-connector-python (pure)",
            Self::ConnectorPythonC => "mysql-connector-python (C)",
            Self::MysqlClient => "mysqlclient",
            Self::Aiomysql => "aiomysql",
            Self::Asyncmy => "asyncmy",
            Self::Mysql2 => "mysql2 (Node)",
            Self::MariadbNode => "mariadb (Node)",
            Self::PhpMysqli => "mysqli (PHP)",
            Self::PhpPdo => "PDO (PHP)",
            Self::PerlMysql => "DBD::mysql (Perl)",
            Self::PerlMariadb => "DBD::MariaDB (Perl)",
            Self::GoSqlDriver => "go-sql-driver",
            Self::ConnectorJ => "MySQL Connector/J",
            Self::MariadbConnectorJ => "MariaDB Connector/J",
            Self::MariadbConnectorJ2 => "MariaDB Connector/J 2.7",
            Self::Sqlx => "sqlx (Rust)",
            Self::MysqlAsync => "mysql_async (Rust)",
        }
    }

    /// Runs one statement in a session of its own.
    pub fn query(self, target: &Target, sql: &str) -> Result<Answer> {
        Runner::start(self)?.query(target, sql)
    }

    /// Asks a driver for one of the operations of `e2e/clients/README.md`.
    pub fn ask(self, target: &Target, operation: &Value) -> Result<Answer> {
        self.driver()?
            .ask(&target.request(), operation)
            .with_context(|| format!("asking {self}"))
    }

    const fn is_command_line(self) -> bool {
        matches!(self, Self::MysqlCli | Self::MariadbCli | Self::MariadbCli11)
    }

    fn driver(self) -> Result<Driver> {
        match self {
            Self::MysqlCli | Self::MariadbCli | Self::MariadbCli11 => {
                bail!("{self} is not a driver")
            }
            Self::PyMySql => Driver::python("pymysql"),
            Self::ConnectorPythonPure => Driver::python("mysql-connector-pure"),
            Self::ConnectorPythonC => Driver::python("mysql-connector-c"),
            Self::MysqlClient => Driver::python("mysqlclient"),
            Self::Aiomysql => Driver::python("aiomysql"),
            Self::Asyncmy => Driver::python("asyncmy"),
            Self::Mysql2 => Driver::node("mysql2"),
            Self::MariadbNode => Driver::node("mariadb"),
            Self::PhpMysqli => Driver::php("mysqli"),
            Self::PhpPdo => Driver::php("pdo"),
            Self::PerlMysql => Driver::perl("mysql"),
            Self::PerlMariadb => Driver::perl("MariaDB"),
            Self::GoSqlDriver => Driver::go(),
            Self::ConnectorJ => Driver::java("mysql"),
            Self::MariadbConnectorJ => Driver::java("mariadb"),
            Self::MariadbConnectorJ2 => Driver::java("mariadb-2"),
            Self::Sqlx => Driver::rust("sqlx"),
            Self::MysqlAsync => Driver::rust("mysql_async"),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A client that is asked more than once: a driver's program goes on running. Each question is a session of its own.
pub struct Runner {
    client: Client,
    driver: Option<Driver>,
}

impl Runner {
    /// Starts it.
    pub fn start(client: Client) -> Result<Self> {
        let driver = (!client.is_command_line())
            .then(|| client.driver())
            .transpose()?;
        Ok(Self { client, driver })
    }

    /// Which client it is.
    pub const fn client(&self) -> Client {
        self.client
    }

    /// Runs one statement.
    pub fn query(&mut self, target: &Target, sql: &str) -> Result<Answer> {
        let Some(driver) = &mut self.driver else {
            return command_line::query(self.client, target, sql);
        };
        driver
            .ask(&target.request(), &json!({ "op": "query", "sql": sql }))
            .with_context(|| format!("asking {}", self.client))
    }

    /// The same, and again where the client fails by itself.
    ///
    /// Measured: go-sql-driver 1.10 calls about one `ed25519` exchange in 300 a malformed packet, directly too.
    pub fn query_again(&mut self, target: &Target, sql: &str) -> Result<Answer> {
        let first = self.query(target, sql)?;
        let malformed = |error: &SqlError| error.message == "malformed packet";
        if self.client != Client::GoSqlDriver || !first.as_ref().is_err_and(malformed) {
            return Ok(first);
        }
        *self = Self::start(self.client)?;
        self.query(target, sql)
    }

    /// The version of the client.
    pub fn version(&mut self) -> Result<String> {
        let Some(driver) = &mut self.driver else {
            return command_line::version(self.client);
        };
        let answer = driver.ask(&json!({ "op": "version" }), &json!({}))?;
        let version = answer?.into_iter().flatten().next().flatten();
        version.with_context(|| format!("{} has no version", self.client))
    }
}
