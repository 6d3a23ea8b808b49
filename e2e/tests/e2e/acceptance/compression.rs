//! Row 15: what `mysql` compresses.

use aws_lc_rs::digest::{SHA256, digest};

use super::checks::app;
use super::legs::Leg;
use super::mysql_cli::mysql;
use super::shared::{MYSQL, turn};
use super::stage::Stage;

const BYTES: usize = 5_000_000;

/// Fetches five megabytes and says whether they were compressed.
fn fetch(stage: &Stage, leg: Leg, algorithms: &str) -> bool {
    let algorithms = format!("--compression-algorithms={algorithms}");
    let sql = format!(
        "SET @bytes = REPEAT(HEX(RANDOM_BYTES(500)), {}); SELECT SHA2(@bytes, 256), @bytes; \
         SHOW SESSION STATUS LIKE 'Compression'",
        BYTES / 1000
    );
    let arguments = ["--ssl-mode=REQUIRED", algorithms.as_str()];
    let printed = mysql(stage.port(leg), &app(), &arguments, &sql).unwrap();
    let (row, status) = printed.split_once('\n').unwrap();
    let (sum, bytes) = row.split_once('\t').unwrap();
    assert_eq!(bytes.len(), BYTES);
    let found = digest(&SHA256, bytes.as_bytes());
    let found: String = found
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(found, sum);
    status == "Compression\tON"
}

#[test]
fn row_15_five_megabytes_arrive_with_zlib_and_zstd() {
    let stage = MYSQL.get();
    let stage = turn(&stage);
    for algorithm in ["zlib", "zstd"] {
        // A change of user must stay possible on a leg whose password the agent encrypts: nothing is compressed there.
        assert!(!fetch(
            &stage,
            Leg::Tcp,
            &format!("{algorithm},uncompressed")
        ));
        assert!(fetch(&stage, Leg::Unix, algorithm));
        assert!(fetch(&stage, Leg::Tls, algorithm));
    }
}
