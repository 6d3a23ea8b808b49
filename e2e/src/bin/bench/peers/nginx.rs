//! nginx's stream module, with its usual buffers or with 64 KiB.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use e2e::process::Process;

use super::{Lab, Pair, configuration, end, free, program, version};
use crate::certificates::SERVER_NAME;

pub(super) const PROGRAM: &str = "nginx";

/// Debian has it as a module of its own.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

pub(super) fn describe(large: bool) -> String {
    let version = version(PROGRAM, "-v", "version");
    let buffers = if large {
        "proxy_buffer_size 64k"
    } else {
        "its usual buffers of 16 KiB"
    };
    format!("{version}: stream, a worker a core, {buffers}")
}

pub(super) fn start(lab: &Lab, service: SocketAddr, large: bool) -> Result<Pair> {
    let (inner, entry) = (free()?, free()?);
    let certificates = &lab.certificates;
    let root = certificates.root.display();
    let server = format!(
        "listen {inner} ssl;\n    proxy_pass {service};\n    ssl_certificate {};\n    ssl_certificate_key {};\n\
         \x20   ssl_client_certificate {root};\n    ssl_verify_client on;\n    ssl_protocols TLSv1.3;\n\
         \x20   ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;\n    ssl_session_cache shared:bench:4m;",
        certificates.server.certificate.display(),
        certificates.server.key.display(),
    );
    let client = format!(
        "listen {entry};\n    proxy_pass {inner};\n    proxy_ssl on;\n    proxy_ssl_certificate {};\n    proxy_ssl_certificate_key {};\n\
         \x20   proxy_ssl_trusted_certificate {root};\n    proxy_ssl_verify on;\n    proxy_ssl_name {SERVER_NAME};\n\
         \x20   proxy_ssl_protocols TLSv1.3;\n    proxy_ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;",
        certificates.client.certificate.display(),
        certificates.client.key.display(),
    );
    let server = launch(lab, inner, &server, large)?;
    let client = launch(lab, entry, &client, large)?;
    Ok(Pair::new(entry, client, vec![server]).asked_to_end())
}

fn launch(lab: &Lab, listen: SocketAddr, lines: &str, large: bool) -> Result<Process> {
    let buffers = if large { "proxy_buffer_size 64k;" } else { "" };
    let module = if Path::new(MODULE).exists() {
        format!("load_module {MODULE};")
    } else {
        String::new()
    };
    let folder = lab.place.join(&format!("nginx-{}", listen.port()));
    std::fs::create_dir_all(&folder)?;
    let text = format!(
        "{module}\ndaemon off;\npid {0}/pid;\nerror_log {0}/error.log error;\nworker_processes auto;\nworker_rlimit_nofile 20000;\n\
         events {{\n  worker_connections 16000;\n}}\n\
         stream {{\n  tcp_nodelay on;\n  proxy_timeout 1h;\n  {buffers}\n  server {{\n    {lines}\n  }}\n}}\n",
        folder.display()
    );
    let file = configuration(lab, "nginx", listen, &text)?;
    let mut command = Command::new(program(PROGRAM)?);
    let error_log = folder.join("error.log");
    command.arg("-c").arg(file).arg("-e").arg(error_log);
    end(lab, "nginx", &mut command, listen)
}
