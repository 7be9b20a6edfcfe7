use super::*;

fn get(key: &str) -> Request {
    Request {
        action: "s3:GetObject".to_owned(),
        resource: format!("arn:aws:s3:::models/{key}"),
        principal: "arn:aws:sts::111122223333:assumed-role/Trainer/job".to_owned(),
        account: "111122223333".to_owned(),
        context: BTreeMap::from([
            ("aws:SourceIp".to_owned(), vec!["10.0.1.10".to_owned()]),
            ("aws:SourceVpce".to_owned(), vec!["vpce-a".to_owned()]),
        ]),
        gateway: false,
    }
}

fn statement(inner: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":{{{inner}}}}}"#)
}

fn decides(inner: &str) -> bool {
    allows(Some(&statement(inner)), &get("a.tar")).unwrap()
}

fn condition(inner: &str) -> bool {
    decides(&format!(
        r#""Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{{{inner}}}"#
    ))
}

#[test]
fn no_policy_allows_all_and_an_empty_one_nothing() {
    assert!(allows(None, &get("a")).unwrap());
    assert!(!allows(Some(r#"{"Statement":[]}"#), &get("a")).unwrap());
}

#[test]
fn a_statement_is_about_actions_and_resources() {
    let all = r#""Effect":"Allow","Principal":"*","#;
    for yes in [
        r#""Action":"s3:getobject","Resource":"arn:aws:s3:::models/*""#,
        r#""Action":["s3:Put*","s3:Get?bject"],"Resource":["x","arn:aws:s3:::*"]"#,
        r#""NotAction":"s3:Put*","NotResource":"arn:aws:s3:::other/*""#,
    ] {
        assert!(decides(&format!("{all}{yes}")), "{yes}");
    }
    for no in [
        r#""Action":"s3:PutObject","Resource":"*""#,
        r#""NotAction":"s3:*","Resource":"*""#,
        r#""Action":"*","Resource":"arn:aws:s3:::MODELS/*""#,
        r#""Action":"*","NotResource":"arn:aws:s3:::models/*""#,
    ] {
        assert!(!decides(&format!("{all}{no}")), "{no}");
    }
}

#[test]
fn a_denial_wins() {
    let text = r#"{"Statement":[
        {"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"},
        {"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::models/secret*"}]}"#;
    assert!(allows(Some(text), &get("a")).unwrap());
    assert!(!allows(Some(text), &get("secret.txt")).unwrap());
}

#[test]
fn principals_are_accounts_roles_and_sessions() {
    for (principal, yes) in [
        (r#""*""#, true),
        (r#"{"AWS":"*"}"#, true),
        (r#"{"AWS":["999900001111","arn:aws:iam::111122223333:root"]}"#, true),
        (r#"{"AWS":"111122223333"}"#, true),
        (r#"{"AWS":"arn:aws:iam::111122223333:role/Trainer"}"#, true),
        (r#"{"AWS":"arn:aws:iam::111122223333:role/*"}"#, false),
        (r#"{"AWS":"arn:aws:iam::111122223333:role/Other"}"#, false),
    ] {
        let inner =
            format!(r#""Effect":"Allow","Principal":{principal},"Action":"*","Resource":"*""#);
        assert_eq!(decides(&inner), yes, "{principal}");
    }
}

#[test]
fn an_account_is_its_root_user_alone_to_a_gateway_endpoint() {
    for (principal, interface, gateway) in [
        (r#"{"AWS":"111122223333"}"#, true, false),
        (r#"{"AWS":"arn:aws:iam::111122223333:root"}"#, true, false),
        (r#""*""#, true, true),
    ] {
        let text = statement(&format!(
            r#""Effect":"Allow","Principal":{principal},"Action":"*","Resource":"*""#
        ));
        let with = |gateway| allows(Some(&text), &Request { gateway, ..get("a") }).unwrap();
        assert_eq!([with(false), with(true)], [interface, gateway], "{principal}");
        let root = "arn:aws:iam::111122223333:root".to_owned();
        let request = Request { gateway: true, principal: root, ..get("a") };
        assert!(allows(Some(&text), &request).unwrap(), "{principal}");
    }
}

#[test]
fn conditions_hold_or_not() {
    for yes in [
        r#""StringEquals":{"AWS:sourcevpce":["vpce-b","vpce-a"]}"#,
        r#""StringNotEquals":{"aws:SourceVpce":"vpce-b"}"#,
        r#""StringNotEquals":{"aws:Missing":"x"}"#,
        r#""StringEqualsIfExists":{"aws:Missing":"x"}"#,
        r#""StringLike":{"aws:SourceVpce":"vpce-?"}"#,
        r#""IpAddress":{"aws:SourceIp":["192.0.2.0/24","10.0.1.10"]}"#,
        r#""NotIpAddress":{"aws:SourceIp":"10.0.2.0/24"}"#,
        r#""Null":{"aws:Missing":"true","aws:SourceIp":"false"}"#,
        r#""Null":{"aws:Missing":true}"#,
        r#""ForAllValues:StringEquals":{"aws:Missing":"x"}"#,
    ] {
        assert!(condition(yes), "{yes}");
    }
    for no in [
        r#""StringEquals":{"aws:SourceVpce":"VPCE-A"}"#,
        r#""StringEquals":{"aws:Missing":"x"}"#,
        r#""StringLike":{"aws:SourceVpce":"vpce-a","aws:SourceIp":"11.*"}"#,
        r#""Bool":{"aws:SecureTransport":"true"}"#,
        r#""IpAddress":{"aws:SourceIp":"10.0.2.0/24"}"#,
        r#""Null":{"aws:SourceIp":"true"}"#,
        r#""ForAnyValue:StringEquals":{"aws:Missing":"x"}"#,
    ] {
        assert!(!condition(no), "{no}");
    }
}

#[test]
fn arns_are_compared_part_by_part() {
    let mut request = get("a");
    request.context.insert(
        "aws:PrincipalArn".to_owned(),
        vec!["arn:aws:iam::111122223333:role/Trainer".to_owned()],
    );
    for (pattern, yes) in [
        ("arn:aws:iam::*:role/Train*", true),
        ("arn:aws:iam::111122223333:role/*", true),
        ("arn:*", false),
        ("arn:aws:s3::*:role/Trainer", false),
    ] {
        let text = statement(&format!(
            r#""Effect":"Allow","Principal":"*","Action":"*","Resource":"*",
               "Condition":{{"ArnLike":{{"aws:PrincipalArn":"{pattern}"}}}}"#
        ));
        assert_eq!(allows(Some(&text), &request).unwrap(), yes, "{pattern}");
    }
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    let with = |inner: &str| {
        let who = if inner.contains("Principal") { "" } else { r#""Principal":"*","# };
        let inner = format!(r#""Effect":"Allow","Action":"*","Resource":"*",{who}{inner}"#);
        Document::read(&statement(&inner)).unwrap_err().to_string()
    };
    let e = with(r#""Condition":{"DateLessThan":{"aws:CurrentTime":"2026-01-01"}}"#);
    assert_eq!(e, "Belljar does not serve the condition operator 'DateLessThan'");
    assert!(with(r#""Condition":{"StringLike":{"a":"${aws:username}"}}"#).contains("variables"));
    assert!(with(r#""Condition":{"IpAddress":{"a":"10.0.0"}}"#).contains("'10.0.0'"));
    assert!(with(r#""Condition":{"Bool":{"a":"maybe"}}"#).contains("'maybe'"));
    assert!(with(r#""Principal":{"Service":"x"}"#).contains("AWS"));
    assert!(with(r#""NotAction":"*""#).contains("NotAction"));
    assert!(with(r#""Extra":1"#).contains("Extra"));
    let nobody = statement(r#""Effect":"Allow","Action":"*","Resource":"*""#);
    assert!(matches!(Document::read(&nobody), Err(PolicyError::Missing(_))));
    let long = format!("{{\"Statement\":[]}}{}", " ".repeat(MAX_CHARACTERS));
    assert!(matches!(Document::read(&long), Err(PolicyError::TooLong(_))));
    assert!(Document::read("[").is_err());
}

#[test]
fn wildcards_are_those_of_iam() {
    for (p, t) in [("*", ""), ("a*", "a"), ("a*c*e", "abcde"), ("a?c", "abc"), ("*a*b", "aab")] {
        assert!(wildcard(p, t), "{p} {t}");
    }
    for (p, t) in [("", "a"), ("a?", "a"), ("a*c", "ab"), ("ab", "AB"), ("a*b*c", "acb")] {
        assert!(!wildcard(p, t), "{p} {t}");
    }
}

#[test]
fn nothing_that_is_said_twice_is_passed_over() {
    let with = |rest: &str| {
        let text = statement(&format!(r#""Effect":"Allow","Action":"*","Resource":"*",{rest}"#));
        allows(Some(&text), &get("a.tar"))
    };
    for twice in [
        r#""Principal":"*","Condition":{"StringEquals":{"aws:SourceVpce":"vpce-b"},"StringEquals":{"aws:SourceIp":"10.0.1.10"}}"#,
        r#""Principal":"*","Condition":{"StringEquals":{"aws:SourceVpce":"vpce-b","aws:SourceVpce":"vpce-a"}}"#,
        r#""Principal":{"AWS":"arn:aws:iam::1:root","AWS":"*"}"#,
        r#""Principal":"*","Action":"s3:*""#,
    ] {
        assert!(matches!(with(twice), Err(PolicyError::Syntax(_))), "{twice}");
    }
}

#[test]
fn a_question_mark_is_one_character() {
    for (pattern, text) in
        [("?", "\u{e9}"), ("a?c", "a\u{20ac}c"), ("*?", "\u{1f600}"), ("*?x", "\u{e9}\u{e9}x")]
    {
        assert!(wildcard(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("??", "\u{e9}"), ("a??c", "a\u{20ac}c"), ("*??", "\u{1f600}")] {
        assert!(!wildcard(pattern, text), "{pattern} {text}");
    }
}
