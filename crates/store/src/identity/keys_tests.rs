use super::super::SCHEMA;
use super::*;

fn db() -> Connection {
    let c = Connection::open_in_memory().unwrap();
    c.execute_batch(SCHEMA).unwrap();
    c
}

const ACCOUNT: &str = "123456789012";

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[test]
fn keys_have_the_form_of_awss() {
    let c = db();
    let lasting = create_key(&c, Owner::Root, at(1), None).unwrap();
    let temporary = create_key(&c, Owner::Root, at(1), Some(at(9))).unwrap();
    for (key, prefix) in [(&lasting, "AKIA"), (&temporary, "ASIA")] {
        assert_eq!(key.id.len(), 20);
        assert!(key.id.starts_with(prefix));
        assert!(key.id.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)));
        assert_eq!(key.secret.expose().len(), 40);
    }
    assert_eq!(lasting.session_token, None);
    assert_eq!(temporary.session_token.as_ref().unwrap().expose().len(), 128);
    assert!(!format!("{temporary:?}").contains(temporary.secret.expose()));
}

#[test]
fn what_is_kept_is_what_was_made() {
    let c = db();
    let owners = [
        Owner::Root,
        Owner::Role { arn: "arn:aws:iam::1:role/r".into(), session: "s".into() },
        Owner::Job { name: "j".into(), generation: 3 },
        Owner::Execution { role: "arn:aws:iam::1:role/r".into(), name: "j".into(), generation: 3 },
    ];
    for owner in owners {
        for expires in [None, Some(at(7))] {
            let key = create_key(&c, owner.clone(), at(5), expires).unwrap();
            assert_eq!(find_key(&c, &key.id).unwrap(), Some(key));
        }
    }
    assert_eq!(list_keys(&c).unwrap().len(), 8);
    assert_eq!(find_key(&c, "AKIA").unwrap(), None);
}

#[test]
fn keys_end_by_hand_by_time_and_with_their_attempt() {
    let c = db();
    let root = create_key(&c, Owner::Root, at(0), None).unwrap();
    let job = |generation| Owner::Job { name: "j".into(), generation };
    for generation in [1, 1, 2] {
        create_key(&c, job(generation), at(0), None).unwrap();
    }
    let of = |generation| job_key(&c, "j", generation).unwrap().map(|key| key.owner);
    assert_eq!((of(1), of(2), of(3)), (Some(job(1)), Some(job(2)), None));
    assert_eq!(revoke_job_keys(&c, "j", 1).unwrap(), 2);
    assert_eq!(of(1), None);
    assert_eq!(revoke_job_keys(&c, "j", 1).unwrap(), 0);
    let short = create_key(&c, Owner::Root, at(0), Some(at(10))).unwrap();
    assert!(!short.expired(at(9)) && short.expired(at(10)));
    assert_eq!(expire_keys(&c, at(10)).unwrap(), 0);
    assert_eq!(expire_keys(&c, at(11)).unwrap(), 1);
    assert!(revoke_key(&c, &root.id).unwrap());
    assert!(!revoke_key(&c, &root.id).unwrap());
    assert_eq!(list_keys(&c).unwrap().len(), 1);
}

#[test]
fn sessions_of_an_execution_role_end_with_the_attempt_that_began_them() {
    let c = db();
    let role = "arn:aws:iam::123456789012:role/BelljarExecutionRole";
    roles::ensure_default(&c, ACCOUNT, at(0)).unwrap();
    let session = |generation| Owner::Execution { role: role.into(), name: "j".into(), generation };
    let made = |generation| create_key(&c, session(generation), at(0), Some(at(9))).unwrap();
    let (first, second) = (made(1), made(2));
    let who = principal(&c, &first, ACCOUNT).unwrap().unwrap();
    let arn = "arn:aws:sts::123456789012:assumed-role/BelljarExecutionRole/SageMaker";
    assert_eq!(who.arn, arn);
    // A session is not taken for the warden's key.
    assert_eq!(job_key(&c, "j", 1).unwrap(), None);
    assert_eq!(revoke_job_keys(&c, "j", 1).unwrap(), 1);
    assert_eq!(find_key(&c, &first.id).unwrap(), None);
    assert_eq!(find_key(&c, &second.id).unwrap(), Some(second));
}

#[test]
fn the_first_start_makes_a_key_and_a_role() {
    let c = db();
    let made = ensure_root(&c, ACCOUNT, at(1)).unwrap();
    assert!(made.new);
    let again = ensure_root(&c, ACCOUNT, at(2)).unwrap();
    assert_eq!(again, Made { key: made.key.clone(), new: false });
    let arn = "arn:aws:iam::123456789012:role/BelljarExecutionRole";
    assert!(roles::role_exists(&c, arn).unwrap());
    // Who lost all keys gets a new one, and the role that is there stays.
    revoke_key(&c, &made.key.id).unwrap();
    assert!(ensure_root(&c, ACCOUNT, at(3)).unwrap().new);
}

#[test]
fn principals_are_named_as_aws_names_them() {
    let c = db();
    let made = ensure_root(&c, ACCOUNT, at(1)).unwrap();
    let root = principal(&c, &made.key, ACCOUNT).unwrap().unwrap();
    assert_eq!(root.arn, "arn:aws:iam::123456789012:root");
    assert_eq!(root.user_id, ACCOUNT);
    let role = roles::get_role(&c, roles::DEFAULT_ROLE).unwrap();
    let owner = Owner::Role { arn: role.arn.clone(), session: "me".into() };
    let key = create_key(&c, owner, at(1), Some(at(9))).unwrap();
    let assumed = principal(&c, &key, ACCOUNT).unwrap().unwrap();
    assert_eq!(assumed.arn, "arn:aws:sts::123456789012:assumed-role/BelljarExecutionRole/me");
    assert_eq!(assumed.user_id, format!("{}:me", role.id));
    let owner = Owner::Job { name: "j-1".into(), generation: 2 };
    let key = create_key(&c, owner, at(1), None).unwrap();
    let job = principal(&c, &key, ACCOUNT).unwrap().unwrap();
    assert_eq!(job.arn, "arn:aws:sts::123456789012:assumed-role/belljar-warden/j-1-2");
}
