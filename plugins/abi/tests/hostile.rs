//! Bytes that no honest side sends confuse neither side: they are an error, never a crash.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use nucleus_abi::{
    CapabilityReport, Client, ContainerRequest, HookReply, Outcome, RawAnswer, ReportRequest, Result, SCHEMA,
    Transport, read_ledger,
};
use proptest::prelude::*;

/// A plugin that describes itself well and then answers anything.
#[derive(Debug)]
struct Hostile(Outcome, Vec<u8>);

impl Transport for Hostile {
    fn describe(&self) -> Result<Vec<u8>> {
        Ok(br#"{"id":"hostile","kind":"backend","version":"1","schemas":[1,1]}"#.to_vec())
    }

    fn call(&self, _: &str, _: &[u8], _: &[BorrowedFd<'_>]) -> Result<RawAnswer> {
        Ok(RawAnswer { outcome: self.0, document: self.1.clone(), descriptors: Vec::new() })
    }
}

/// Bytes, and texts that are nearly documents.
fn documents() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"code\"",
        "\"step\"",
        "\"entries\"",
        "\"yes\"",
        "\"by\"",
        "\"pids\"",
        "1",
        "-1",
        "null",
        "\"kind\"",
        "\"op\"",
        "\"path\"",
        "1e999",
    ];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..256),
        proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..40)
            .prop_map(|words| words.concat().into_bytes()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn an_answer_is_a_document_or_an_error(bytes in documents(), failed in any::<bool>()) {
        let outcome = if failed { Outcome::Failed } else { Outcome::Done };
        let client = Client::over(Arc::new(Hostile(outcome, bytes))).unwrap();
        let container = ContainerRequest { schema: SCHEMA, id: "web".parse().unwrap(), directory: "/".into() };
        let answers = [client.state(&container).map(drop), client.stats(&container).map(drop), client.delete(&container).map(drop)];
        prop_assert!(!failed || answers.iter().all(std::result::Result::is_err));
    }

    #[test]
    fn a_report_a_reply_and_a_ledger_are_read_or_refused(bytes in documents()) {
        let _ = serde_json::from_slice::<CapabilityReport>(&bytes);
        let _ = serde_json::from_slice::<ReportRequest>(&bytes);
        let _ = serde_json::from_slice::<HookReply>(&bytes);
        let _ = read_ledger(&String::from_utf8_lossy(&bytes));
        let _ = nucleus_abi::note::Note::read(&bytes);
    }
}
