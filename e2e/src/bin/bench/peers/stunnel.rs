//! stunnel, with a thread for each connection.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;

use super::{Lab, Pair, configuration, end, free, program, version};
use crate::certificates::{Leaf, SERVER_NAME};

pub(super) const PROGRAM: &str = "stunnel4";

pub(super) fn describe() -> String {
    format!(
        "{}: TCP_NODELAY on both sides, otherwise as it comes",
        version(PROGRAM, "-version", "stunnel 5")
    )
}

pub(super) fn start(lab: &Lab, service: SocketAddr) -> Result<Pair> {
    let (inner, entry) = (free()?, free()?);
    let one = |leaf: &Leaf, role: &str, listen: SocketAddr, connect: SocketAddr| {
        let text = format!(
            "foreground = yes\npid =\ndebug = err\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n\
             [bench]\n{role}\naccept = {listen}\nconnect = {connect}\ncert = {}\nkey = {}\nCAfile = {}\n\
             verifyChain = yes\nsslVersionMin = TLSv1.3\nciphersuites = TLS_AES_256_GCM_SHA384\n",
            leaf.certificate.display(),
            leaf.key.display(),
            lab.certificates.root.display(),
        );
        let file = configuration(lab, "stunnel", listen, &text)?;
        let mut command = Command::new(program(PROGRAM)?);
        end(lab, "stunnel", command.arg(file), listen)
    };
    let server = one(
        &lab.certificates.server,
        "client = no\nrequireCert = yes",
        inner,
        service,
    )?;
    let role = format!("client = yes\ncheckHost = {SERVER_NAME}");
    let client = one(&lab.certificates.client, &role, entry, inner)?;
    Ok(Pair::new(entry, client, vec![server]))
}
