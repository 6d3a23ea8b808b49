use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::tests::World;

/// Fills the store: certificates that ended and entries that were made that many seconds ago.
async fn fill(world: &World, ago: Seconds, count: u32) {
    let at = world.now() - ago;
    let mut write = world.registry.store().write().await.unwrap();
    for (serial, text) in (0..count).map(|n| (format!("{ago}-{n}"), format!("entry {ago}-{n}"))) {
        sqlx::query(
            "INSERT INTO certificates VALUES ('a', $1, 'client', 'demo:eu:db1', 'app', '', 0, $2, $2, 'issued')",
        )
        .bind(&serial)
        .bind(at)
        .execute(&mut *write)
        .await
        .unwrap();
        sqlx::query("INSERT INTO audit (at, actor, action, outcome, instance, detail) VALUES ($1, $2, '', '', '', '{}')")
            .bind(at)
            .bind(&text)
            .execute(&mut *write)
            .await
            .unwrap();
    }
    write.commit().await.unwrap();
}

async fn left(world: &World) -> (i64, i64) {
    sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM certificates WHERE authority_id = 'a'),
                (SELECT COUNT(*) FROM audit WHERE actor LIKE 'entry %')",
    )
    .fetch_one(&world.registry.store().read())
    .await
    .unwrap()
}

fn exported(folder: &Path) -> Vec<Value> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600
        );
        let text = std::fs::read_to_string(entry.path()).unwrap();
        lines.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
    }
    lines
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_goes_and_the_audit_is_written_to_files_before() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let app = &world.service.app;
    // More than a step, from several months, and some that are young enough.
    fill(&world, 500 * DAY, 1100).await;
    fill(&world, 410 * DAY, 20).await;
    fill(&world, 91 * DAY, 30).await;
    fill(&world, 89 * DAY, 40).await;
    let all = 1190;
    let kept = |text: &str| text.parse::<Retention>().unwrap();
    let into = || folder.path().to_owned();
    retain(app, kept("certificates=0,audit=0"), into())
        .await
        .unwrap();
    assert_eq!(left(&world).await, (all, all));
    retain(app, Retention::default(), into()).await.unwrap();
    assert_eq!(left(&world).await, (40, 70));
    let lines = exported(folder.path());
    let names: BTreeSet<&str> = lines
        .iter()
        .map(|line| line["actor"].as_str().unwrap())
        .collect();
    assert_eq!((lines.len(), names.len()), (1120, 1120), "each once");
    assert!(
        names.contains("entry 410-0") || names.contains(format!("entry {}-0", 410 * DAY).as_str())
    );
    // Nothing more to do, and what was done is on record.
    retain(app, Retention::default(), into()).await.unwrap();
    let entries: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE action = 'retention.delete'")
            .fetch_one(&world.registry.store().read())
            .await
            .unwrap();
    assert_eq!(entries, 2);
    assert!(
        app.metrics.text().contains("table=\"audit\"} 1120"),
        "{}",
        app.metrics.text()
    );
}

#[tokio::test]
async fn what_cannot_be_written_to_a_file_is_not_deleted() {
    let world = World::start().await;
    fill(&world, 500 * DAY, 3).await;
    let nowhere = world.folder.path().join("nowhere");
    let failed = retain(&world.service.app, Retention::default(), nowhere).await;
    assert!(failed.is_err());
    assert_eq!(left(&world).await.1, 3);
}

#[tokio::test]
async fn a_line_that_was_cut_short_does_not_spoil_the_next() {
    let world = World::start().await;
    fill(&world, 500 * DAY, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let month: String = rfc3339(world.now() - 500 * DAY).chars().take(7).collect();
    let file = folder.path().join(format!("audit-{month}.jsonl"));
    std::fs::write(&file, "{\"id\":1,\"a").unwrap();
    let into = folder.path().to_owned();
    retain(&world.service.app, Retention::default(), into)
        .await
        .unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["action"], "");
}

#[test]
fn a_retention_is_named_by_table_and_the_rest_keeps_its_default() {
    let parsed = |text: &str| text.parse::<Retention>();
    let some = |certificates, audit| {
        Ok(Retention {
            certificates,
            audit,
        })
    };
    assert_eq!(
        parsed("certificates=90d,audit=400d"),
        Ok(Retention::default())
    );
    assert_eq!(parsed("audit=0"), some(Some(90 * DAY), None));
    assert_eq!(
        parsed(" certificates = 1h , audit=2days"),
        some(Some(3600), Some(2 * DAY))
    );
    for wrong in [
        "",
        "90d",
        "certificates",
        "certificates=",
        "audit=90",
        "tokens=1d",
        "audit=1d,audit=2d",
        "audit=5ms",
        "audit=-1d",
    ] {
        assert!(parsed(wrong).is_err(), "{wrong}");
    }
}
