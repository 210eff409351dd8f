//! `features`: what of the runtime specification this engine implements (features.md).

use nucleus_abi::{FeaturesReply, FeaturesRequest, Result};

pub(crate) fn features(_request: &FeaturesRequest) -> Result<FeaturesReply> {
    Err(nucleus_abi::backend::not_supported("features"))
}
