//! What the metadata service knows of an instance, but for its keys: a tree of small texts.

use super::About;
use super::held::Session;
use belljar_domain::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Above the role's name, and its keys.
const KEYS: &str = "meta-data/iam/security-credentials";

/// What lies at a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A text, or a folder's listing.
    Text(String),
    /// The role's keys.
    Keys,
    /// The document of the instance's identity.
    Json(&'a str),
}

/// The tree below `/latest`. Folders are what lies before a `/` of some path.
#[derive(Debug)]
pub(super) struct Tree {
    leaves: BTreeMap<String, Leaf>,
}

#[derive(Debug)]
enum Leaf {
    Text(String),
    Json(String),
    Keys,
}

impl Tree {
    /// `account` and `role` are those of the role's ARN.
    pub(super) fn new(about: &About, account: &str, role: &str) -> Self {
        let address = about.address.map(|a| a.to_string());
        let texts = [
            ("instance-type", about.instance_type.clone()),
            ("local-ipv4", address.clone()),
            ("mac", about.mac.clone()),
            ("placement/availability-zone", about.zone.clone()),
            ("placement/region", Some(about.region.clone())),
        ];
        let text = |(name, text): (&str, Option<String>)| {
            Some((format!("meta-data/{name}"), Leaf::Text(text?)))
        };
        let mut leaves: BTreeMap<_, _> = texts.into_iter().filter_map(text).collect();
        // There is no instance profile that it could name.
        let info = json!({"Code": "Success"}).to_string();
        leaves.insert("meta-data/iam/info".to_owned(), Leaf::Json(info));
        leaves.insert(format!("{KEYS}/{role}"), Leaf::Keys);
        let identity = Leaf::Json(identity(about, account, address).to_string());
        leaves.insert("dynamic/instance-identity/document".to_owned(), identity);
        Self { leaves }
    }

    /// What lies at a path, which begins after `/latest`.
    pub(super) fn find(&self, path: &str) -> Option<Found<'_>> {
        let path = path.trim_matches('/');
        match self.leaves.get(path) {
            Some(Leaf::Text(text)) => Some(Found::Text(text.clone())),
            Some(Leaf::Json(text)) => Some(Found::Json(text)),
            Some(Leaf::Keys) => Some(Found::Keys),
            None => self.list(path).map(Found::Text),
        }
    }

    fn list(&self, folder: &str) -> Option<String> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let below = self.leaves.keys().filter_map(|path| path.strip_prefix(&prefix));
        let names: BTreeSet<&str> =
            below.map(|rest| rest.split_inclusive('/').next().unwrap_or(rest)).collect();
        let names: Vec<&str> = names.into_iter().collect();
        (!names.is_empty()).then(|| names.join("\n"))
    }
}

/// The document, with what is known.
fn identity(about: &About, account: &str, address: Option<String>) -> Value {
    let members = [
        ("accountId", Some(account.to_owned())),
        ("availabilityZone", about.zone.clone()),
        ("instanceType", about.instance_type.clone()),
        ("privateIp", address),
        ("region", Some(about.region.clone())),
        ("version", Some("2017-09-30".to_owned())),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect()
}

/// A role's keys as the metadata service gives them.
pub(super) fn keys(session: &Session) -> Value {
    json!({
        "Code": "Success",
        "LastUpdated": seconds(session.begun),
        "Type": "AWS-HMAC",
        "AccessKeyId": session.key_id,
        "SecretAccessKey": session.secret,
        "Token": session.token,
        "Expiration": seconds(session.ends),
    })
}

/// ISO 8601, in whole seconds.
pub(super) fn seconds(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('.').map_or(text.clone(), |(whole, _)| format!("{whole}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_there() {
        let about = About::new("arn:aws:iam::1:role/r".into(), "us-east-1".into());
        let bare = Tree::new(&about, "1", "r");
        let text = |tree: &Tree, path: &str| match tree.find(path) {
            Some(Found::Text(text)) => Some(text),
            _ => None,
        };
        assert_eq!(text(&bare, "/").as_deref(), Some("dynamic/\nmeta-data/"));
        assert_eq!(text(&bare, "/meta-data/").as_deref(), Some("iam/\nplacement/"));
        assert_eq!(text(&bare, "/meta-data/placement").as_deref(), Some("region"));
        assert_eq!(text(&bare, "/meta-data/mac"), None);
        assert_eq!(bare.find("/meta-data/plac"), None);
        let document = "/dynamic/instance-identity/document";
        let known = r#"{"accountId":"1","region":"us-east-1","version":"2017-09-30"}"#;
        assert_eq!(bare.find(document), Some(Found::Json(known)));

        let zone = Some("us-east-1a".into());
        let all = About { zone, address: Some([10, 0, 1, 10].into()), ..about };
        let all = Tree::new(&all, "1", "r");
        assert_eq!(text(&all, "/meta-data/local-ipv4").as_deref(), Some("10.0.1.10"));
        let zone = "/meta-data/placement/availability-zone/";
        assert_eq!(text(&all, zone).as_deref(), Some("us-east-1a"));
        assert_eq!(text(&all, "/meta-data/iam/security-credentials/").as_deref(), Some("r"));
        assert_eq!(all.find("/meta-data/iam/security-credentials/r"), Some(Found::Keys));
        let whole = seconds(Timestamp::from_millis(1_795_439_700_123));
        assert_eq!(whole, "2026-11-23T13:15:00Z");
    }
}
