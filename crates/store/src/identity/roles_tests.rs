use super::super::{Owner, SCHEMA, create_key, find_key};
use super::*;

fn db() -> Connection {
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    c.execute_batch(SCHEMA).unwrap();
    c
}

fn new(name: &str, path: &str) -> NewRole {
    NewRole {
        name: name.into(),
        path: path.into(),
        trust: "{}".into(),
        description: None,
        max_session: DEFAULT_MAX_SESSION,
        tags: vec![("k".into(), "v".into())],
    }
}

fn make(c: &Connection, name: &str, path: &str) -> Role {
    create_role(c, "123456789012", new(name, path), Timestamp::from_millis(5)).unwrap()
}

#[test]
fn a_role_is_found_by_name_and_arn() {
    let c = db();
    let role = make(&c, "Trainer", "/team/ml/");
    assert_eq!(role.arn, "arn:aws:iam::123456789012:role/team/ml/Trainer");
    assert!(role.id.starts_with("AROA") && role.id.len() == 21);
    assert_eq!(get_role(&c, "trainer").unwrap(), role, "names differ by more than case");
    assert_eq!(find_by_arn(&c, &role.arn).unwrap(), Some(role.clone()));
    assert!(role_exists(&c, &role.arn).unwrap());
    assert!(!role_exists(&c, "arn:aws:iam::123456789012:role/Trainer").unwrap());
    assert!(matches!(
        create_role(&c, "123456789012", new("TRAINER", "/"), Timestamp::from_millis(5)),
        Err(IdentityError::RoleExists(name)) if name == "TRAINER"
    ));
    assert!(matches!(get_role(&c, "x"), Err(IdentityError::NoRole(_))));
}

#[test]
fn lists_go_on_where_they_stopped() {
    let c = db();
    for name in ["b", "A", "c"] {
        make(&c, name, if name == "c" { "/p/" } else { "/" });
    }
    let names = |path, after, limit| -> Vec<String> {
        list_roles(&c, path, after, limit).unwrap().into_iter().map(|r| r.name).collect()
    };
    assert_eq!(names("/", "", 2), ["A", "b"]);
    assert_eq!(names("/", "b", 2), ["c"]);
    assert_eq!(names("/p/", "", 9), ["c"]);
}

#[test]
fn a_role_with_policies_is_not_deleted() {
    let c = db();
    let role = make(&c, "r", "/");
    let owner = Owner::Role { arn: role.arn.clone(), session: "s".into() };
    let key = create_key(&c, owner, Timestamp::from_millis(1), None).unwrap();
    put_policy(&c, "r", "p", "{\"a\": 1}").unwrap();
    put_policy(&c, "R", "p", "{}").unwrap();
    assert_eq!(get_policy(&c, "r", "p").unwrap(), ("p".into(), "{}".into()));
    attach(&c, "r", "arn:1").unwrap();
    attach(&c, "r", "arn:1").unwrap();
    assert_eq!(attached(&c, "r").unwrap(), ["arn:1"]);
    assert!(matches!(delete_role(&c, "r"), Err(IdentityError::HasAttachments(_))));
    detach(&c, "r", "arn:1").unwrap();
    assert!(matches!(detach(&c, "r", "arn:1"), Err(IdentityError::NotAttached { .. })));
    assert!(matches!(delete_role(&c, "r"), Err(IdentityError::HasPolicies(_))));
    delete_policy(&c, "r", "p").unwrap();
    assert!(matches!(delete_policy(&c, "r", "p"), Err(IdentityError::NoPolicy { .. })));
    delete_role(&c, "r").unwrap();
    assert_eq!(find_key(&c, &key.id).unwrap(), None, "its sessions end with it");
}

#[test]
fn policies_have_iams_limits() {
    let c = db();
    make(&c, "r", "/");
    let spaces = " ".repeat(MAX_INLINE);
    put_policy(&c, "r", "a", &format!("{spaces}{}", "x".repeat(MAX_INLINE))).unwrap();
    assert!(matches!(
        put_policy(&c, "r", "b", "y"),
        Err(IdentityError::PolicyTooLong { limit: MAX_INLINE, .. })
    ));
    for i in 0..MAX_ATTACHED {
        attach(&c, "r", &format!("arn:{i}")).unwrap();
    }
    assert!(matches!(attach(&c, "r", "arn:x"), Err(IdentityError::TooManyAttachments { .. })));
}
