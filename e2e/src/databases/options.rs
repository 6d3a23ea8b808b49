//! What a database may be started with other than usually.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::geteuid;

use super::{PASSWORD, certificate};

/// The keys with which MySQL lets a password be encrypted on a leg in the clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RsaKeys {
    /// Those that it makes by itself, of 2048 bits.
    #[default]
    Usual,
    /// A key of this many bits.
    Bits(usize),
    /// None.
    Missing,
}

/// How the PAM plugin of MariaDB asks for the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pam {
    /// By the `dialog` plugin.
    Dialog,
    /// By `mysql_clear_password`.
    Clear,
}

/// Choices for [`Database::start_with`](super::Database::start_with).
#[derive(Clone, Debug, Default)]
pub struct DatabaseOptions {
    without_tls: bool,
    certificate_file: bool,
    rsa_keys: RsaKeys,
    pam: Option<Pam>,
    hosts: Option<String>,
    arguments: Vec<String>,
}

impl DatabaseOptions {
    /// Offers no TLS.
    #[must_use]
    pub fn without_tls(mut self) -> Self {
        self.without_tls = true;
        self
    }

    /// MariaDB 11.8: shows the certificate in `data/server-cert.pem`, from `ca()`, instead of one made in memory.
    #[must_use]
    pub fn certificate_file(mut self) -> Self {
        self.certificate_file = true;
        self
    }

    /// MySQL: has these RSA keys.
    #[must_use]
    pub fn rsa_keys(mut self, keys: RsaKeys) -> Self {
        self.rsa_keys = keys;
        self
    }

    /// MariaDB: has the account [`PAM_USER`](super::PAM_USER). Needs root, for a `/etc/pam.d` of its own.
    #[must_use]
    pub fn pam(mut self, pam: Pam) -> Self {
        self.pam = Some(pam);
        self
    }

    /// Sees this in `/etc/hosts`, and asks for the names of its clients. Needs root, for a file of its own.
    #[must_use]
    pub fn hosts(mut self, hosts: &str) -> Self {
        self.hosts = Some(hosts.to_owned());
        self
    }

    /// Refuses logins over TCP in the clear.
    #[must_use]
    pub fn secure_transport_required(self) -> Self {
        self.argument("--require-secure-transport=ON")
    }

    /// A further option of the server, as on its command line.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub(super) fn has_tls(&self) -> bool {
        !self.without_tls
    }

    pub(super) fn has_certificate_file(&self) -> bool {
        self.certificate_file
    }

    pub(super) fn has_pam(&self) -> bool {
        self.pam.is_some()
    }

    pub(super) fn arguments(&self) -> &[String] {
        &self.arguments
    }

    pub(super) fn name_arguments(&self) -> Option<&'static str> {
        self.hosts.is_none().then_some("--skip-name-resolve")
    }

    pub(super) fn rsa_arguments(&self) -> &'static [&'static str] {
        match self.rsa_keys {
            RsaKeys::Missing => &[
                "--sha256-password-auto-generate-rsa-keys=OFF",
                "--caching-sha2-password-auto-generate-rsa-keys=OFF",
            ],
            RsaKeys::Usual | RsaKeys::Bits(_) => &[],
        }
    }

    pub(super) fn pam_arguments(&self) -> &'static [&'static str] {
        match self.pam {
            None => &[],
            Some(Pam::Dialog) => &["--plugin-load-add=auth_pam_v1"],
            Some(Pam::Clear) => &[
                "--plugin-load-add=auth_pam_v1",
                "--pam-use-cleartext-plugin=ON",
            ],
        }
    }

    /// Puts files in place before the first start.
    pub(super) fn prepare(&self, folder: &Path) -> Result<()> {
        let data = folder.join("data");
        match self.rsa_keys {
            RsaKeys::Usual => {}
            RsaKeys::Missing => {
                for name in ["private_key.pem", "public_key.pem"] {
                    std::fs::remove_file(data.join(name))
                        .with_context(|| format!("removing {name}"))?;
                }
            }
            RsaKeys::Bits(bits) => certificate::write_rsa_keys(&data, bits)?,
        }
        if let Some(hosts) = &self.hosts {
            std::fs::write(folder.join("hosts"), hosts)?;
        }
        if self.has_pam() {
            write_pam_service(folder)?;
        }
        Ok(())
    }

    /// The command as it is started: with a `/etc/pam.d` or `/etc/hosts` of its own where it needs one.
    pub(super) fn surround(&self, folder: &Path, command: Command) -> Command {
        let (own, usual) = match (self.has_pam(), &self.hosts) {
            (true, _) => ("pam.d", "/etc/pam.d"),
            (false, Some(_)) => ("hosts", "/etc/hosts"),
            (false, None) => return command,
        };
        let mut outer = Command::new("unshare");
        outer
            .args(["--mount", "sh", "-ec"])
            .arg("mount --bind \"$1\" \"$2\"; shift 2; exec \"$@\"")
            .arg("sh")
            .arg(folder.join(own))
            .arg(usual)
            .arg(command.get_program())
            .args(command.get_args());
        outer
    }
}

/// The service `csql`: right is whoever knows the password, so that no account of the machine is needed.
fn write_pam_service(folder: &Path) -> Result<()> {
    ensure!(
        geteuid().is_root(),
        "PAM reads /etc/pam.d, and only root can give a server one of its own"
    );
    let (services, check) = (folder.join("pam.d"), folder.join("pam-check"));
    std::fs::create_dir(&services)?;
    std::fs::write(
        services.join("csql"),
        format!(
            "auth required pam_exec.so quiet expose_authtok {}\naccount required pam_permit.so\n",
            check.display()
        ),
    )?;
    let script = format!("#!/bin/sh\n[ \"$(tr -d '\\000')\" = '{PASSWORD}' ]\n");
    std::fs::write(&check, script)?;
    std::fs::set_permissions(&check, PermissionsExt::from_mode(0o755))?;
    Ok(())
}
