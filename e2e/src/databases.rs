//! Real database servers in a temporary folder, with TLS on, on a TCP port and a Unix socket.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::clients::{Address, Login, Target, Tls};
use crate::paths::installed;
use crate::place::Place;
use crate::process::{Process, output_of};
use crate::wait::{PATIENCE, until};

mod account;
mod certificate;
mod flavor;
mod mariadb;
mod mysql;
mod options;
mod postgres;
mod template;

pub use flavor::Flavor;
pub use options::{DatabaseOptions, Pam, RsaKeys};
pub use postgres::Postgres;

/// The accounts that every database has, for the harness itself and for applications.
pub const PASSWORD: &str = "correct horse battery staple";
/// The schema of the applications' accounts.
pub const SCHEMA: &str = "appdb";
/// The account that a database with [`DatabaseOptions::pam`] has besides.
pub const PAM_USER: &str = "app_pam";
const HARNESS: &str = "harness";

/// A running server; it ends when this value is dropped.
pub struct Database {
    flavor: Flavor,
    options: DatabaseOptions,
    folder: PathBuf,
    address: Address,
    socket: PathBuf,
    process: Process,
}

impl Database {
    /// Starts one in `place`, from a copy of a data directory that is made once.
    pub fn start(flavor: Flavor, place: &Place) -> Result<Self> {
        Self::start_with(flavor, place, &DatabaseOptions::default())
    }

    /// Starts one other than usually.
    pub fn start_with(flavor: Flavor, place: &Place, options: &DatabaseOptions) -> Result<Self> {
        let port = place.free_port()?;
        let folder = place.join(&format!("database-{port}"));
        std::fs::create_dir(&folder)?;
        template::copy(flavor, &folder.join("data"))?;
        options.prepare(&folder)?;
        account::hand_over(&folder)?;
        let socket = folder.join("db.sock");
        let address = Address::Tcp {
            host: place.address(),
            port,
        };
        let process = launch(flavor, &folder, &address, options)?;
        let mut database = Self {
            flavor,
            options: options.clone(),
            folder,
            address,
            socket,
            process,
        };
        database.wait_until_ready()?;
        if options.has_pam() {
            database.execute(&application(PAM_USER, "VIA pam USING 'csql'"))?;
        }
        Ok(database)
    }

    /// The CA that its certificate comes from; none when TLS is off or the server keeps its certificate in memory.
    pub fn ca(&self) -> Option<PathBuf> {
        let has_file = self.flavor != Flavor::MariaDb11 || self.options.has_certificate_file();
        (self.options.has_tls() && has_file).then(|| self.folder.join("data/ca.pem"))
    }

    /// SHA-256 of the certificate that it shows now, in hexadecimal.
    pub fn fingerprint(&self) -> Result<String> {
        certificate::fingerprint(&self.address)
    }

    /// Which server it is.
    pub fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// Its TCP address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its Unix socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The process, for signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Stops it in good order; `resume` starts it again with the same data, port and socket.
    pub fn stop(&mut self) -> Result<()> {
        let status = self.process.terminate()?;
        ensure!(
            status.success(),
            "{} ended with {status}",
            self.flavor.name()
        );
        Ok(())
    }

    /// Starts it again after `stop`.
    pub fn resume(&mut self) -> Result<()> {
        self.process = launch(self.flavor, &self.folder, &self.address, &self.options)?;
        self.wait_until_ready()
    }

    /// Stops and starts it: its authentication cache is cold afterwards.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.resume()
    }

    /// Empties the authentication cache: the next caching_sha2_password login needs the password itself.
    pub fn flush(&self) -> Result<()> {
        self.execute("FLUSH PRIVILEGES").map(drop)
    }

    /// Runs SQL as `harness`.
    pub fn execute(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let answer = self.flavor.own_client().query(&self.harness(), sql)?;
        answer.with_context(|| format!("running {sql} as the harness"))
    }

    /// A login with all privileges, over the Unix socket and past everything under test.
    pub fn harness(&self) -> Target {
        Target::new(
            Address::Socket(self.socket.clone()),
            Login::new(HARNESS, PASSWORD, "mysql"),
            Tls::Off,
        )
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let socket = self.socket.clone();
        self.process
            .ready_when("the database's socket", |_| Ok(socket.exists()))?;
        until("the database's first answer", PATIENCE, || {
            Ok(self.execute("SELECT 1").ok())
        })?;
        Ok(())
    }
}

fn launch(
    flavor: Flavor,
    folder: &Path,
    address: &Address,
    options: &DatabaseOptions,
) -> Result<Process> {
    let Address::Tcp { host, port } = address else {
        anyhow::bail!("a database listens on TCP");
    };
    let mut command = flavor.command(&folder.join("data"), options)?;
    command
        .arg(format!("--bind-address={host}"))
        .arg(format!("--port={port}"))
        .arg(format!("--socket={}", folder.join("db.sock").display()))
        .arg(format!("--pid-file={}", folder.join("db.pid").display()))
        .args(options.name_arguments())
        .args(options.arguments());
    let mut command = options.surround(folder, command);
    Process::spawn(flavor.name(), &mut command, &folder.join("db.log"))
}

/// SQL that makes the accounts; `application` is the flavor's own part.
fn accounts(application: &str) -> String {
    format!(
        "FLUSH PRIVILEGES;\n\
         CREATE USER '{HARNESS}'@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL PRIVILEGES ON *.* TO '{HARNESS}'@'%' WITH GRANT OPTION;\n\
         CREATE DATABASE {SCHEMA};\n\
         {application}\n"
    )
}

/// SQL that makes one account of an application.
fn application(user: &str, identified: &str) -> String {
    format!(
        "CREATE USER '{user}'@'%' IDENTIFIED {identified};\n\
         GRANT ALL PRIVILEGES ON {SCHEMA}.* TO '{user}'@'%';\n"
    )
}

/// Copies a folder with owners and modes.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    output_of(
        Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .arg(from)
            .arg(to),
    )
    .map(drop)
}

/// Options that both servers need to find their own files in an extracted tree.
fn tree_options(command: &mut Command, tree: &str, share: &str) -> Result<()> {
    let tree = installed(tree)?;
    let share = tree.join(share);
    command
        .arg("--no-defaults")
        .arg(format!("--user={}", account::choose()?.name))
        .arg(format!("--basedir={}", tree.join("usr").display()))
        .arg(format!(
            "--plugin-dir={}",
            tree.join("usr/lib/mysql/plugin").display()
        ))
        .arg(format!("--lc-messages-dir={}", share.display()))
        .arg(format!(
            "--character-sets-dir={}",
            share.join("charsets").display()
        ));
    Ok(())
}

/// Gives a file or folder to the account that the servers run as.
fn give(path: &Path, uid: u32, gid: u32) -> Result<()> {
    chown(path, Some(uid), Some(gid)).with_context(|| format!("giving away {}", path.display()))
}
