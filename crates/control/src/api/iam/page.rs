//! Pages of a list.

use super::invalid;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use belljar_aws::AwsError;
use serde_json::{Value, json};

/// Entries of a page, if the request says nothing.
const DEFAULT_ITEMS: usize = 100;

/// Which page is wanted.
pub(super) struct Wanted {
    /// The last entry of the page before it.
    pub(super) after: String,
    /// How many.
    pub(super) items: usize,
}

impl Wanted {
    pub(super) fn new(marker: Option<&str>, items: Option<usize>) -> Result<Self, AwsError> {
        let after = marker.map_or(Some(String::new()), |marker| {
            String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(marker).ok()?).ok()
        });
        let after = after.ok_or_else(|| invalid("Invalid Marker."))?;
        Ok(Self { after, items: items.unwrap_or(DEFAULT_ITEMS) })
    }

    /// The page as an answer: of entries that come after [`Wanted::after`], one more than the page
    /// has if there are more.
    pub(super) fn answer<T>(
        &self,
        member: &str,
        mut entries: Vec<T>,
        name: impl Fn(&T) -> &str,
        shown: impl Fn(&T) -> Value,
    ) -> Value {
        let more = entries.len() > self.items;
        entries.truncate(self.items);
        let mut answer = json!({"IsTruncated": more});
        if let Some(last) = entries.last().filter(|_| more) {
            answer["Marker"] = BASE64_URL_SAFE_NO_PAD.encode(name(last)).into();
        }
        answer[member] = entries.iter().map(shown).collect();
        answer
    }

    /// The same, of a list that is all there, in the order of names.
    pub(super) fn answer_of_all<T>(
        &self,
        member: &str,
        all: Vec<T>,
        name: impl Fn(&T) -> &str,
        shown: impl Fn(&T) -> Value,
    ) -> Value {
        let behind = all.into_iter().filter(|entry| name(entry) > self.after.as_str());
        self.answer(member, behind.take(self.items + 1).collect(), name, shown)
    }
}
