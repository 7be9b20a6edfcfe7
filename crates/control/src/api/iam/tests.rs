use crate::api::testing::Tested;
use belljar_aws::Service as Aws;
use serde_json::{Value, json};

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

async fn call(t: &Tested, name: &str, input: Value) -> Value {
    t.call(Aws::Iam, name, input).await.unwrap()
}

async fn refused(t: &Tested, name: &str, input: Value) -> (String, String) {
    t.refused(Aws::Iam, name, input).await
}

async fn make(t: &Tested, name: &str) -> Value {
    let input = json!({
        "RoleName": name, "AssumeRolePolicyDocument": TRUST, "Path": "/team/",
        "Description": "for tests", "Tags": [{"Key": "k", "Value": "v"}],
    });
    call(t, "CreateRole", input).await
}

#[tokio::test]
async fn a_role_is_made_got_listed_and_deleted() {
    let t = Tested::new().await;
    let role = make(&t, "Trainer").await;
    assert_eq!(role["Role"]["Arn"], "arn:aws:iam::123456789012:role/team/Trainer");
    assert_eq!(role["Role"]["CreateDate"], 1_795_439_700.0);
    assert_eq!(role["Role"]["MaxSessionDuration"], 3600);
    let document = role["Role"]["AssumeRolePolicyDocument"].as_str().unwrap();
    assert!(document.starts_with("%7B%22Version%22%3A%222012-10-17%22%2C"), "{document}");
    assert_eq!(call(&t, "GetRole", json!({"RoleName": "Trainer"})).await, role);
    let (code, message) = refused(&t, "GetRole", json!({"RoleName": "nobody"})).await;
    assert_eq!(code, "NoSuchEntity");
    assert_eq!(message, "The role with name nobody cannot be found.");
    let again = json!({"RoleName": "Trainer", "AssumeRolePolicyDocument": TRUST});
    let (code, message) = refused(&t, "CreateRole", again).await;
    assert_eq!(code, "EntityAlreadyExists");
    assert_eq!(message, "Role with name Trainer already exists.");

    let first = call(&t, "ListRoles", json!({"MaxItems": 1})).await;
    assert_eq!(first["Roles"][0]["RoleName"], "BelljarExecutionRole");
    assert_eq!(first["IsTruncated"], true);
    let rest = call(&t, "ListRoles", json!({"Marker": first["Marker"]})).await;
    assert_eq!(rest["Roles"][0]["RoleName"], "Trainer");
    assert_eq!(rest["IsTruncated"], false);
    assert!(rest.get("Marker").is_none());
    let team = call(&t, "ListRoles", json!({"PathPrefix": "/team/"})).await;
    assert_eq!(team["Roles"].as_array().unwrap().len(), 1);
    let (code, _) = refused(&t, "ListRoles", json!({"Marker": "~~"})).await;
    assert_eq!(code, "InvalidInput");

    call(&t, "DeleteRole", json!({"RoleName": "Trainer"})).await;
    let (code, _) = refused(&t, "DeleteRole", json!({"RoleName": "Trainer"})).await;
    assert_eq!(code, "NoSuchEntity");
}

#[tokio::test]
async fn what_keeps_a_role_from_being_made_is_said_by_name() {
    let t = Tested::new().await;
    let role = |document: &str| json!({"RoleName": "r", "AssumeRolePolicyDocument": document});
    for (document, message) in [
        ("{", "This policy contains invalid Json"),
        ("{}", "Syntax errors in policy."),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":"*","Resource":"*"}}"#,
            "Has prohibited field Resource",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole"}}"#,
            "Missing required field Principal",
        ),
    ] {
        let (code, said) = refused(&t, "CreateRole", role(document)).await;
        assert_eq!((code.as_str(), said.as_str()), ("MalformedPolicyDocument", message));
    }
    let mut bounded = role(TRUST);
    bounded["PermissionsBoundary"] = "arn:aws:iam::aws:policy/ReadOnlyAccess".into();
    let (_, message) = refused(&t, "CreateRole", bounded).await;
    assert_eq!(message, "Belljar does not serve PermissionsBoundary of CreateRole.");
    let mut twice = role(TRUST);
    twice["Tags"] = json!([{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]);
    assert_eq!(refused(&t, "CreateRole", twice).await.0, "InvalidInput");
}

#[tokio::test]
async fn policies_are_stored_given_back_and_keep_their_role() {
    let t = Tested::new().await;
    make(&t, "r").await;
    let document = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    for name in ["p2", "p1"] {
        let input = json!({"RoleName": "r", "PolicyName": name, "PolicyDocument": document});
        call(&t, "PutRolePolicy", input).await;
    }
    let got = call(&t, "GetRolePolicy", json!({"RoleName": "r", "PolicyName": "p1"})).await;
    assert!(got["PolicyDocument"].as_str().unwrap().starts_with("%7B%22Statement%22"));
    let (code, message) =
        refused(&t, "GetRolePolicy", json!({"RoleName": "r", "PolicyName": "x"})).await;
    assert_eq!(code, "NoSuchEntity");
    assert_eq!(message, "The role policy with name x cannot be found.");
    let page = call(&t, "ListRolePolicies", json!({"RoleName": "r", "MaxItems": 1})).await;
    assert_eq!(page["PolicyNames"], json!(["p1"]));
    let next = json!({"RoleName": "r", "Marker": page["Marker"]});
    assert_eq!(call(&t, "ListRolePolicies", next).await["PolicyNames"], json!(["p2"]));

    let arn = "arn:aws:iam::aws:policy/service-role/Some";
    call(&t, "AttachRolePolicy", json!({"RoleName": "r", "PolicyArn": arn})).await;
    let (code, _) = refused(
        &t,
        "AttachRolePolicy",
        json!({"RoleName": "r", "PolicyArn": "arn:aws:iam::123456789012:policy/mine"}),
    )
    .await;
    assert_eq!(code, "NoSuchEntity");
    let list = call(&t, "ListAttachedRolePolicies", json!({"RoleName": "r"})).await;
    assert_eq!(list["AttachedPolicies"], json!([{"PolicyName": "Some", "PolicyArn": arn}]));

    let role = json!({"RoleName": "r"});
    let (code, message) = refused(&t, "DeleteRole", role.clone()).await;
    assert_eq!(code, "DeleteConflict");
    assert_eq!(message, "Cannot delete entity, must detach all policies first.");
    call(&t, "DetachRolePolicy", json!({"RoleName": "r", "PolicyArn": arn})).await;
    let (_, message) = refused(&t, "DeleteRole", role.clone()).await;
    assert_eq!(message, "Cannot delete entity, must delete policies first.");
    for name in ["p1", "p2"] {
        call(&t, "DeleteRolePolicy", json!({"RoleName": "r", "PolicyName": name})).await;
    }
    call(&t, "DeleteRole", role).await;
}

const DEFAULT: &str = "arn:aws:iam::123456789012:role/BelljarExecutionRole";

async fn decisions(t: &Tested, arn: &str, actions: &[&str], resource: &str) -> Vec<String> {
    let input = json!({
        "PolicySourceArn": arn, "ActionNames": actions, "ResourceArns": [resource],
    });
    let answer = call(t, "SimulatePrincipalPolicy", input).await;
    let results = answer["EvaluationResults"].as_array().unwrap();
    results.iter().map(|r| r["EvalDecision"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_default_role_may_what_the_sdk_asks_about() {
    let t = Tested::new().await;
    let actions = [
        "sagemaker:CreateTrainingJob",
        "ecr:GetAuthorizationToken",
        "cloudwatch:PutMetricData",
        "ec2:DescribeVpcs",
        "EC2:describesubnets",
        "dynamodb:GetItem",
    ];
    let said = decisions(&t, DEFAULT, &actions, "*").await;
    assert_eq!(said[..5], ["allowed"; 5]);
    assert_eq!(said[5], "implicitDeny");
    let bucket = "arn:aws:s3:::sagemaker-us-east-1-123456789012/x";
    assert_eq!(decisions(&t, DEFAULT, &["s3:PutObject"], bucket).await, ["allowed"]);
    let other = "arn:aws:s3:::other/x";
    assert_eq!(decisions(&t, DEFAULT, &["s3:PutObject"], other).await, ["implicitDeny"]);
}

#[tokio::test]
async fn an_explicit_deny_wins_and_conditions_are_refused_only_where_they_matter() {
    let t = Tested::new().await;
    let put = async |name: &str, statement: &str| {
        let document = format!("{{\"Statement\":{statement}}}");
        let input = json!({
            "RoleName": "BelljarExecutionRole", "PolicyName": name, "PolicyDocument": document,
        });
        call(&t, "PutRolePolicy", input).await;
    };
    put("deny", r#"{"Effect":"Deny","NotAction":["s3:*","sqs:*"],"Resource":"*"}"#).await;
    assert_eq!(decisions(&t, DEFAULT, &["logs:PutLogEvents"], "*").await, ["explicitDeny"]);
    let condition = r#"{"Effect":"Allow","Action":"sqs:Send*","Resource":"arn:aws:sqs:::q?","Condition":{"Bool":{"aws:SecureTransport":"true"}}}"#;
    put("if", condition).await;
    assert_eq!(decisions(&t, DEFAULT, &["sqs:SendMessage"], "*").await, ["implicitDeny"]);
    let input = json!({
        "PolicySourceArn": DEFAULT, "ActionNames": ["sqs:SendMessage"],
        "ResourceArns": ["arn:aws:sqs:::q1"],
    });
    let (code, message) = refused(&t, "SimulatePrincipalPolicy", input).await;
    assert_eq!(code, "InvalidInput");
    assert!(message.starts_with("Belljar does not serve Condition"), "{message}");
    let unknown = "arn:aws:iam::aws:policy/AmazonEC2FullAccess";
    let attach = json!({"RoleName": "BelljarExecutionRole", "PolicyArn": unknown});
    call(&t, "AttachRolePolicy", attach).await;
    let input = json!({"PolicySourceArn": DEFAULT, "ActionNames": ["s3:GetObject"]});
    let (_, message) = refused(&t, "SimulatePrincipalPolicy", input).await;
    assert!(message.contains(unknown), "{message}");
    let nobody = "arn:aws:iam::123456789012:role/nobody";
    let input = json!({"PolicySourceArn": nobody, "ActionNames": ["s3:GetObject"]});
    let (code, _) = refused(&t, "SimulatePrincipalPolicy", input).await;
    assert_eq!(code, "NoSuchEntity");
}

#[tokio::test]
async fn results_come_in_pages() {
    let t = Tested::new().await;
    let mut input = json!({
        "PolicySourceArn": DEFAULT, "ActionNames": ["a:1", "a:2", "a:3"],
        "ResourceArns": ["x", "y"], "MaxItems": 4,
    });
    let page = call(&t, "SimulatePrincipalPolicy", input.clone()).await;
    assert_eq!(page["EvaluationResults"].as_array().unwrap().len(), 4);
    input["Marker"] = page["Marker"].clone();
    let page = call(&t, "SimulatePrincipalPolicy", input).await;
    assert_eq!(page["EvaluationResults"][1]["EvalActionName"], "a:3");
    assert_eq!(page["EvaluationResults"][1]["EvalResourceName"], "y");
    assert_eq!(page["IsTruncated"], false);
}
