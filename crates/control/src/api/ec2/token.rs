//! `ClientToken`: a request that is sent again is carried out once.

use crate::network::Draft;
use crate::network::error::refused;
use belljar_aws::AwsError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The kind of the notes that keep tokens.
const KIND: &str = "client-token";
/// How long one is kept (EC2 API Reference, "Ensuring idempotency"), in milliseconds.
const KEPT: i64 = 24 * 60 * 60 * 1000;

/// Carries out `make`, or answers what it made (an id, several) when this request came with this
/// token before.
///
/// # Errors
/// Those of `make`; if the token came with another request.
pub(crate) fn once<T: Serialize + DeserializeOwned>(
    draft: &mut Draft,
    (operation, token): (&str, Option<&str>),
    request: &impl Serialize,
    make: impl FnOnce(&mut Draft) -> Result<T, AwsError>,
) -> Result<T, AwsError> {
    let Some(token) = token else { return make(draft) };
    let key = format!("{operation}\n{token}");
    let request = serde_json::to_value(request).map_err(|_| AwsError::internal())?;
    if let Some(note) = draft.note(KIND, &key) {
        if note["request"] != request {
            let text = "The client token was already used with different parameters.";
            return Err(refused("IdempotentParameterMismatch", text));
        }
        return T::deserialize(&note["made"]).map_err(|_| AwsError::internal());
    }
    let made = make(draft)?;
    let now = draft.now().millis();
    draft.notes.retain(|(kind, _), note| {
        kind != KIND || note["at"].as_i64().is_some_and(|at| now - at < KEPT)
    });
    let note: Value = json!({"request": request, "made": made, "at": now});
    draft.set_note(KIND, &key, note);
    Ok(made)
}
