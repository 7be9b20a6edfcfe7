//! Operations on several resources, each of which goes well or not by itself.

use belljar_aws::AwsError;
use serde_json::{Value, json};

/// Does something for each, and gives what failed as items of `Unsuccessful`.
///
/// One that fails must have changed nothing.
pub(super) fn each<T>(
    ids: &[String],
    mut act: impl FnMut(&str) -> Result<T, AwsError>,
) -> Vec<Value> {
    let failed = ids.iter().filter_map(|id| Some(item(id, &act(id).err()?)));
    failed.collect()
}

/// One item.
pub(super) fn item(id: &str, e: &AwsError) -> Value {
    json!({"ResourceId": id, "Error": {"Code": e.code, "Message": e.message}})
}
