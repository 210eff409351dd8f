//! The runtime's `features` verb (runtime specification, features.md).

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_oci_cli::answer;
use serde_json::Value;

use crate::options::Options;

/// Asks it.
///
/// # Errors
/// `host-unfit` for a runtime without the verb; `protocol` for an answer that is no such document.
pub(crate) fn ask(options: &Options) -> Result<Value> {
    let text = answer(&options.program, &["features"], options.patience())?;
    let document: Option<Value> = serde_json::from_str(&text).ok().filter(Value::is_object);
    document.ok_or_else(|| {
        Error::new(ErrorCode::Protocol, "read the answer to `features`")
            .on(options.program.display())
            .because("it is no JSON object")
    })
}

/// Whether a list of the document has a word; `None` where there is no such list.
pub(crate) fn lists(document: &Value, list: &str, word: &str) -> Option<bool> {
    let list = document.pointer(list)?.as_array()?;
    Some(list.iter().any(|one| one == word))
}
