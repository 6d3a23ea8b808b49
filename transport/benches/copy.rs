//! The copy loop between real sockets: an application in the clear on one side, the tunnel's TLS on the other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proto::InstanceName;
use proto::machine::Inputs;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SubjectPublicKeyInfo,
};
use rustix::net::sockopt::set_tcp_congestion;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::Clock;
use transport::tls::{
    Material, Offer, PrivateKey, ServedInstances, ServerIdentity, TlsClient, TlsServer, TlsStream,
    TrustRoots,
};
use transport::tunnel::{Limits, copy};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const BULK: usize = 16 << 20;
const MESSAGE: usize = 64;
const IDENTITY: &str = "csql:/projects/p/locations/r/instances/db1/serviceAccounts/app@p.iam.x";

/// One CA for both sides, valid from 1975 to 4096 as rcgen makes them.
struct Root {
    issuer: Issuer<'static, KeyPair>,
    roots: TrustRoots,
}

impl Root {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "bench root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            roots: TrustRoots::from_pem(&pem)?,
            issuer: Issuer::new(params, key),
        })
    }

    fn material(&self, name: SanType, usage: ExtendedKeyUsagePurpose) -> Result<Material> {
        let key = PrivateKey::generate_p256()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "p:db1");
        params.subject_alt_names = vec![name];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.serial_number = Some(vec![0x0a, 0xbc].into());
        let spki = SubjectPublicKeyInfo::from_der(key.spki_der())?;
        let pem = params.signed_by(&spki, &self.issuer)?.pem();
        Ok(Material::new(&pem, &key)?)
    }
}

#[derive(Debug)]
struct Served {
    roots: Arc<TrustRoots>,
    material: Arc<Material>,
}

impl ServedInstances for Served {
    fn client_roots(&self, _: &InstanceName) -> Option<Arc<TrustRoots>> {
        Some(Arc::clone(&self.roots))
    }

    fn server_material(&self, _: Option<&str>) -> Option<Arc<Material>> {
        Some(Arc::clone(&self.material))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one clock of this program, handed to both sides"
)]
fn clock() -> Clock {
    Arc::new(std::time::SystemTime::now)
}

/// A socket that will be paced by nothing: under bbr, the default of many machines, its pace would be measured.
fn unpaced() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    set_tcp_congestion(&socket, "reno")?;
    Ok(socket)
}

async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = unpaced()?;
    listener.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = listener.listen(1)?;
    let address = listener.local_addr()?;
    let (near, accepted) = tokio::try_join!(unpaced()?.connect(address), listener.accept())?;
    let (far, _) = accepted;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

/// Both ends of a tunnel, shaken hands.
async fn tunnel() -> Result<(TlsStream, TlsStream)> {
    let instance: InstanceName = "p:r:db1".parse()?;
    let root = Root::new()?;
    let server_name = SanType::DnsName(instance.dns_name().try_into()?);
    let client_name = SanType::URI(IDENTITY.try_into()?);
    let served = Served {
        roots: Arc::new(root.roots.clone()),
        material: Arc::new(root.material(server_name, ExtendedKeyUsagePurpose::ServerAuth)?),
    };
    let server = TlsServer::new(Arc::new(served), clock())?;
    let expected = ServerIdentity {
        dns_name: Some(instance.dns_name()),
        common_name: instance.common_name(),
    };
    let material = root.material(client_name, ExtendedKeyUsagePurpose::ClientAuth)?;
    let client = TlsClient::new(&material, &root.roots, expected, clock(), Offer::Ours)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    let (near, far) = pair().await?;
    let (connected, accepted) =
        tokio::try_join!(client.connect(near, deadline), server.accept(far, deadline))?;
    Ok((connected.0, accepted.stream))
}

/// An application and a database, and between them both ends of a tunnel, each with its copy loop.
struct Way {
    application: TcpStream,
    database: TcpStream,
}

impl Way {
    async fn open(tasks: &TaskTracker) -> Result<Self> {
        let ((application, mut near), (mut far, database)) = (pair().await?, pair().await?);
        let (mut client, mut server) = tunnel().await?;
        tasks.spawn(async move {
            let (limits, cancel) = (Limits::default(), CancellationToken::new());
            copy(&mut near, &mut client, Inputs::default(), &limits, &cancel).await;
        });
        tasks.spawn(async move {
            let (limits, cancel) = (Limits::default(), CancellationToken::new());
            copy(&mut server, &mut far, Inputs::default(), &limits, &cancel).await;
        });
        Ok(Self {
            application,
            database,
        })
    }

    /// Bytes from the application to the database.
    async fn up(&mut self, bytes: &[u8], into: &mut [u8]) -> io::Result<()> {
        tokio::try_join!(
            self.application.write_all(bytes),
            self.database.read_exact(into)
        )
        .map(drop)
    }

    /// The same the other way.
    async fn down(&mut self, bytes: &[u8], into: &mut [u8]) -> io::Result<()> {
        tokio::try_join!(
            self.database.write_all(bytes),
            self.application.read_exact(into)
        )
        .map(drop)
    }
}

/// One thread for all of it, so that the figure is work and not the scheduler's luck.
fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn copies(criterion: &mut Criterion) {
    let measured = measure(criterion);
    assert!(measured.is_ok(), "not measured: {measured:?}");
}

fn measure(criterion: &mut Criterion) -> Result<()> {
    let (runtime, tasks) = (runtime()?, TaskTracker::new());
    let mut way = runtime.block_on(Way::open(&tasks))?;
    let mut group = criterion.benchmark_group("copy");
    let (bytes, mut into) = (vec![7; BULK], vec![0; BULK]);
    group.sample_size(20);
    group.throughput(Throughput::Bytes(u64::try_from(BULK)?));
    group.bench_function("16 MiB up", |bencher| {
        bencher.iter(|| {
            let copied = runtime.block_on(way.up(&bytes, &mut into));
            assert!(copied.is_ok(), "{copied:?}");
        });
    });
    group.bench_function("16 MiB down", |bencher| {
        bencher.iter(|| {
            let copied = runtime.block_on(way.down(&bytes, &mut into));
            assert!(copied.is_ok(), "{copied:?}");
        });
    });
    let (bytes, mut into) = ([7; MESSAGE], [0; MESSAGE]);
    group.throughput(Throughput::Elements(1));
    group.bench_function("64 bytes there and back", |bencher| {
        bencher.iter(|| {
            let passed = runtime.block_on(async {
                way.up(&bytes, &mut into).await?;
                way.down(&bytes, &mut into).await
            });
            assert!(passed.is_ok(), "{passed:?}");
        });
    });
    group.finish();
    Ok(())
}

criterion_group!(benches, copies);
criterion_main!(benches);
