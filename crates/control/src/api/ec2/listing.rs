//! What every `Describe…` does in one way: ids, filters and pages.
//!
//! A filter is a path into what is shown: `("association.subnet-id", "Associations.SubnetId")`.
//! A list on the way stands for each of its items, and a filter holds if any value that is found
//! fits any value that is asked for.

use crate::network::error::{self, invalid, refused};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use belljar_aws::AwsError;
use belljar_vpc::id::ResourceId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Filters of one request, and values of one filter.
const MAX_FILTERS: usize = 200;

/// The names of filters and the paths that they are.
pub(crate) type Filters = &'static [(&'static str, &'static str)];

/// The input of an operation that lists.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Listing {
    /// `Filter` in some.
    #[serde(alias = "Filter")]
    filters: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    /// The members that only some have.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Filter {
    name: String,
    #[serde(default)]
    values: Vec<String>,
}

impl Listing {
    /// Takes a member that only some have.
    ///
    /// # Errors
    /// If it is not of that form.
    pub(crate) fn take<T: DeserializeOwned + Default>(
        &mut self,
        member: &str,
    ) -> Result<T, AwsError> {
        let value = self.rest.remove(member);
        let read = value.map(serde_json::from_value).transpose();
        let wrong = |_| invalid(format!("Value ({member}) for parameter is invalid."));
        Ok(read.map_err(wrong)?.unwrap_or_default())
    }

    /// The ids that are asked for, each of which there must be; none is all.
    ///
    /// # Errors
    /// If one is no id or not there, or a page is asked for too.
    pub(crate) fn ids<I: ResourceId, V>(
        &mut self,
        member: &str,
        map: &BTreeMap<I, Arc<V>>,
    ) -> Result<Vec<I>, AwsError> {
        let texts: Vec<String> = self.take(member)?;
        if !texts.is_empty() && self.max_results.is_some() {
            let mut name = member.to_owned();
            name[..1].make_ascii_lowercase();
            let text = format!("The parameter {name} cannot be used with the parameter maxResults");
            return Err(refused("InvalidParameterCombination", text));
        }
        let mut ids = Vec::new();
        for text in &texts {
            let (id, _) = error::named(map, text)?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// The answer from the records of one kind: those of the ids in `member`, or all.
    ///
    /// # Errors
    /// If an id, a filter or the token is not valid.
    pub(crate) fn of<I: ResourceId, V>(
        mut self,
        set: &'static str,
        (member, map): (&str, &BTreeMap<I, Arc<V>>),
        filters: Filters,
        shown: impl Fn(&I, &V) -> Value,
    ) -> Result<Value, AwsError> {
        let ids = self.ids(member, map)?;
        let item = |(id, record): (&I, &Arc<V>)| (id.to_string(), shown(id, record));
        if ids.is_empty() {
            return self.answer(set, map.iter().map(item), filters);
        }
        self.answer(set, ids.iter().filter_map(|id| map.get_key_value(id)).map(item), filters)
    }

    /// How many there are on a page, if pages are asked for.
    fn most(&self) -> Result<Option<usize>, AwsError> {
        let read = |most| usize::try_from(most).ok().filter(|most| *most > 0);
        let wrong = || {
            let text = "The specified value for MaxResults is not valid.";
            refused("InvalidMaxResults", text)
        };
        self.max_results.map(|most| read(most).ok_or_else(wrong)).transpose()
    }

    /// The answer from items in the order of their keys.
    ///
    /// # Errors
    /// If a filter or the token is not valid, or a member was not taken.
    pub(crate) fn answer(
        self,
        set: &'static str,
        items: impl Iterator<Item = (String, Value)>,
        filters: Filters,
    ) -> Result<Value, AwsError> {
        if let Some(member) = self.rest.keys().next() {
            let text = format!("Belljar does not serve {member} here.");
            return Err(refused("UnsupportedOperation", text));
        }
        let most = self.most()?;
        if self.filters.iter().any(|f| f.values.len() > MAX_FILTERS) {
            let text = format!("The maximum number of filter values is {MAX_FILTERS}.");
            return Err(refused("FilterLimitExceeded", text));
        }
        let tests: Vec<Test<'_>> =
            self.filters.iter().map(|f| Test::new(f, filters)).collect::<Result<_, _>>()?;
        let after = self.next_token.as_deref().map(place).transpose()?.unwrap_or_default();
        let mut wanted =
            items.filter(|(key, item)| *key > after && tests.iter().all(|test| test.holds(item)));
        let Some(most) = most else {
            return Ok(json!({ set: wanted.map(|(_, item)| item).collect::<Vec<_>>() }));
        };
        let page: Vec<(String, Value)> = wanted.by_ref().take(most).collect();
        let last = page.last().map(|(key, _)| BASE64.encode(key));
        let token = last.filter(|_| wanted.next().is_some());
        let page: Vec<Value> = page.into_iter().map(|(_, item)| item).collect();
        Ok(json!({ set: page, "NextToken": token }))
    }
}

/// The key behind which a page begins.
fn place(token: &str) -> Result<String, AwsError> {
    let bytes = BASE64.decode(token).ok();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| refused("InvalidNextToken", "The token in NextToken is not valid."))
}

/// A filter that is known.
enum Test<'a> {
    At(&'static str, &'a [String]),
    Tag(&'a str, &'a [String]),
    TagKey(&'a [String]),
}

impl<'a> Test<'a> {
    fn new(filter: &'a Filter, known: Filters) -> Result<Self, AwsError> {
        if let Some(key) = filter.name.strip_prefix("tag:") {
            return Ok(Self::Tag(key, &filter.values));
        }
        if let Some((_, path)) = known.iter().find(|(name, _)| *name == filter.name) {
            return Ok(Self::At(path, &filter.values));
        }
        if filter.name == "tag-key" {
            return Ok(Self::TagKey(&filter.values));
        }
        Err(invalid(format!("The filter '{}' is invalid", filter.name)))
    }

    fn holds(&self, item: &Value) -> bool {
        match self {
            Self::At(path, values) => any_at(item, path, values),
            Self::TagKey(values) => tags(item).any(|(key, _)| fits(values, key)),
            Self::Tag(key, values) => {
                tags(item).any(|(of, value)| of == *key && fits(values, value))
            }
        }
    }
}

/// `Tags`, which is `TagSet` of interfaces. What `DescribeTags` shows is one itself.
fn tags(item: &Value) -> impl Iterator<Item = (&str, &str)> {
    let list = item.get("Tags").or_else(|| item.get("TagSet")).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .chain(std::iter::once(item))
        .filter_map(|tag| Some((tag.get("Key")?.as_str()?, tag.get("Value")?.as_str()?)))
}

fn any_at(item: &Value, path: &str, values: &[String]) -> bool {
    match item {
        Value::Array(items) => items.iter().any(|item| any_at(item, path, values)),
        Value::Object(fields) => {
            let (name, rest) = path.split_once('.').unwrap_or((path, ""));
            fields.get(name).is_some_and(|field| any_at(field, rest, values))
        }
        Value::String(text) => fits(values, text),
        Value::Null => false,
        other => fits(values, &other.to_string()),
    }
}

fn fits(patterns: &[String], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    patterns.iter().any(|pattern| matches(&pattern.chars().collect::<Vec<_>>(), &text))
}

/// Whether a text fits a pattern: `*` is any text, `?` one character, `\` takes a character as it
/// is. Goes back to the last `*` only, so that no pattern takes long.
fn matches(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let (one, width) = match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some('?') => (true, 1),
            Some('\\') if p + 1 < pattern.len() => (pattern[p + 1] == text[t], 2),
            Some(char) => (*char == text[t], 1),
            None => (false, 0),
        };
        match (one, star) {
            (true, _) => (p, t) = (p + width, t + 1),
            (false, Some((at, from))) => {
                (p, t) = (at + 1, from + 1);
                star = Some((at, from + 1));
            }
            (false, None) => return false,
        }
    }
    pattern[p..].iter().all(|char| *char == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_they_say() {
        for (pattern, text, fit) in [
            ("", "", true),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*b?d", "abcabxd", true),
            ("a*b?d", "abcd", true),
            ("a?", "a", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("**x", "yyx", true),
            ("x", "xx", false),
            ("?", "é", true),
        ] {
            assert_eq!(fits(&[pattern.into()], text), fit, "{pattern} {text}");
        }
        assert!(!fits(&["*a".repeat(200)], &"a".repeat(199)));
    }

    const FILTERS: Filters = &[("state", "State"), ("a.b", "As.B"), ("n", "N")];

    fn listed(input: Value) -> Result<Value, AwsError> {
        let items = [
            ("1", json!({"State": "x", "As": [{"B": true}, {"B": false}], "N": 5})),
            ("2", json!({"State": "y", "As": [], "Tags": [{"Key": "k", "Value": "v"}]})),
            ("3", json!({"State": "xy", "Tags": [{"Key": "k", "Value": "w"}]})),
        ];
        let listing: Listing = serde_json::from_value(input).unwrap();
        listing.answer("Of", items.into_iter().map(|(key, item)| (key.into(), item)), FILTERS)
    }

    fn states(input: Value) -> Vec<String> {
        let answer = listed(input).unwrap();
        let of = answer["Of"].as_array().unwrap();
        of.iter().map(|item| item["State"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn filters_hold_together_and_their_values_apart() {
        let by = |filters: Value| states(json!({"Filters": filters}));
        assert_eq!(by(json!([{"Name": "state", "Values": ["x*"]}])), ["x", "xy"]);
        assert_eq!(by(json!([{"Name": "state", "Values": ["x", "y"]}])), ["x", "y"]);
        assert_eq!(by(json!([{"Name": "a.b", "Values": ["false"]}])), ["x"]);
        assert_eq!(by(json!([{"Name": "n", "Values": ["5"]}])), ["x"]);
        assert_eq!(by(json!([{"Name": "tag:k", "Values": ["v"]}])), ["y"]);
        let both = json!([
            {"Name": "tag-key", "Values": ["k"]}, {"Name": "state", "Values": ["x*"]}
        ]);
        assert_eq!(by(both), ["xy"]);
        let e = listed(json!({"Filters": [{"Name": "colour", "Values": ["x"]}]})).unwrap_err();
        assert_eq!(e.to_string(), "InvalidParameterValue: The filter 'colour' is invalid");
    }

    #[test]
    fn pages_follow_each_other_and_what_is_not_known_is_refused() {
        let first = listed(json!({"MaxResults": 2})).unwrap();
        assert_eq!(first["Of"].as_array().unwrap().len(), 2);
        let second = json!({"MaxResults": 2, "NextToken": first["NextToken"]});
        let second = listed(second).unwrap();
        assert_eq!(
            (second["Of"][0]["State"].as_str(), &second["NextToken"]),
            (Some("xy"), &Value::Null)
        );
        assert_eq!(listed(json!({"NextToken": "~"})).unwrap_err().code, "InvalidNextToken");
        let e = listed(json!({"Colours": ["x"]})).unwrap_err();
        assert_eq!(e.message, "Belljar does not serve Colours here.");
    }
}
