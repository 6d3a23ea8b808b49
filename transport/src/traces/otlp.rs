//! OTLP's JSON: `ExportTraceServiceRequest` with hexadecimal identifiers and nanoseconds as strings.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::Trace;

/// `SPAN_KIND_INTERNAL` and `SPAN_KIND_SERVER`.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;
/// The name of the whole.
const WHOLE: &str = "session";

/// A number that is the session's own wherever it is asked for.
pub(super) fn number(session: &str) -> u64 {
    let [first, ..] = parts(&["session", session]);
    first
}

/// The request's body.
pub(super) fn encode(
    traces: &[Trace],
    program: &'static str,
    version: &'static str,
    now: SystemTime,
) -> String {
    let spans: Vec<Value> = traces
        .iter()
        .flat_map(|trace| spans(trace, program, now))
        .collect();
    let resource = [
        ("service.name", program.to_owned()),
        ("service.version", version.to_owned()),
    ];
    json!({
        "resourceSpans": [{
            "resource": { "attributes": attributes(&resource) },
            "scopeSpans": [{
                "scope": { "name": program, "version": version },
                "spans": spans,
            }],
        }],
    })
    .to_string()
}

fn spans(trace: &Trace, program: &str, now: SystemTime) -> Vec<Value> {
    let begun = now.checked_sub(trace.age).unwrap_or(now);
    let [first, second, ..] = parts(&["trace", &trace.session]);
    let trace_id = format!("{first:016x}{second:016x}");
    let id = |program: &str, name: &str| {
        let [first, ..] = parts(&["span", &trace.session, program, name]);
        format!("{first:016x}")
    };
    let whole = id(program, WHOLE);
    let parent = trace.within.map(|(program, leg)| id(program, leg));
    let mut known = vec![("session.id", trace.session.clone())];
    known.extend(trace.attributes.iter().cloned());
    let status = match &trace.error {
        Some(error) => json!({ "code": ERROR, "message": error }),
        None => json!({}),
    };
    let mut spans = vec![json!({
        "traceId": trace_id,
        "spanId": whole,
        "parentSpanId": parent.unwrap_or_default(),
        "name": WHOLE,
        "kind": SERVER,
        "startTimeUnixNano": nanos(begun),
        "endTimeUnixNano": nanos(now),
        "attributes": attributes(&known),
        "status": status,
    })];
    for leg in &trace.legs {
        let leg_begun = begun + leg.after;
        spans.push(json!({
            "traceId": trace_id,
            "spanId": id(program, leg.name),
            "parentSpanId": whole,
            "name": leg.name,
            "kind": INTERNAL,
            "startTimeUnixNano": nanos(leg_begun),
            "endTimeUnixNano": nanos(leg_begun + leg.took),
        }));
    }
    spans
}

fn attributes(known: &[(&'static str, String)]) -> Value {
    let one = |(key, value): &(&'static str, String)| json!({ "key": key, "value": { "stringValue": value } });
    known.iter().map(one).collect()
}

fn nanos(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_nanos().to_string()
}

/// Numbers that follow from words. None is zero, which OTLP takes for no identifier.
fn parts(words: &[&str]) -> [u64; 2] {
    let mut text = String::new();
    for word in words {
        // Writing to a String does not fail; what is cut off makes another number.
        if write!(text, "{}:{word}", word.len()).is_err() {
            break;
        }
    }
    let digest = digest(&SHA256, text.as_bytes());
    let (chunks, _) = digest.as_ref().as_chunks::<8>();
    let mut numbers = chunks.iter().map(|chunk| u64::from_be_bytes(*chunk).max(1));
    [numbers.next().unwrap_or(1), numbers.next().unwrap_or(1)]
}
