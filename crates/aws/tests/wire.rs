//! Requests as clients send them, and as nobody should: whatever comes, the answer is a value or an
//! error that the client can read.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use belljar_aws::{
    AwsError, ErrorForm, Protocol, Service, check_output, decode, encode, encode_error, route,
    validate,
};
use http::Request;
use http::request::Parts;
use proptest::prelude::*;
use serde_json::{Value, json};

fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::post(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn signed_for(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKID/20260102/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

fn sagemaker(operation: &str) -> Parts {
    parts("/", &[("x-amz-target", &format!("SageMaker.{operation}"))])
}

fn refusal(parts: &Parts, service: Service, body: &str) -> AwsError {
    decode(service, parts, body.as_bytes()).unwrap_err()
}

#[test]
fn services_are_told_apart() {
    let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    let to = |uri: &str, headers: &[(&str, &str)]| route(&parts(uri, headers)).map(|r| r.service);
    let signed = |name: &str, uri: &str| to(uri, &[("authorization", &signed_for(name))]);
    assert_eq!(to("/", &[("x-amz-target", "SageMaker.AddTags")]), Ok(Service::SageMaker));
    assert_eq!(to("/", &[("x-amz-target", "Logs_20140328.PutLogEvents")]), Ok(Service::Logs));
    assert_eq!(signed("sagemaker", "/endpoints/e/invocations"), Ok(Service::SageMakerRuntime));
    assert_eq!(signed("sagemaker", "/"), Ok(Service::SageMaker));
    assert_eq!(signed("sts", "/"), Ok(Service::Sts));
    assert_eq!(signed("iam", "/"), Ok(Service::Iam));
    assert_eq!(signed("route53", "/2013-04-01/hostedzone"), Ok(Service::Route53));
    assert_eq!(signed("s3", "/bucket/key"), Ok(Service::S3));
    let presigned = "/?Action=GetCallerIdentity&X-Amz-Credential=AKID%2F20260102%2Fus-east-1%2Fsts%2Faws4_request";
    let found = route(&parts(presigned, &[])).unwrap();
    assert_eq!(found.service, Service::Sts);
    assert_eq!(found.operation.as_deref(), Some("GetCallerIdentity"));
    assert_eq!(to("/", &[form]), Ok(Service::Sts));
    assert_eq!(to("/", &[("host", "iam.amazonaws.com"), form]), Ok(Service::Iam));
    let zones = to("/2013-04-01/hostedzone", &[("host", "route53.amazonaws.com")]);
    assert_eq!(zones, Ok(Service::Route53));
    assert_eq!(to("/bucket/key?list-type=2", &[]), Ok(Service::S3));
    assert_eq!(signed("ec2", "/"), Ok(Service::Ec2));
    assert_eq!(to("/", &[("host", "ec2.us-east-1.amazonaws.com"), form]), Ok(Service::Ec2));
    let error = signed("sqs", "/").unwrap_err();
    assert_eq!(error.message, "Belljar does not serve the service 'sqs'.");
    assert_eq!(to("/", &[("x-amz-target", "Nobody.Knows")]).unwrap_err().status, 400);
    assert_eq!(ErrorForm::guess(&parts("/", &[("x-amz-target", "X.Y")])), ErrorForm::Json);
}

#[test]
fn json_becomes_the_input() {
    let body =
        br#"{"NameContains":"a","MaxResults":5,"CreationTimeAfter":1700000000,"SortBy":null}"#;
    let call = decode(Service::SageMaker, &sagemaker("ListTrainingJobs"), body).unwrap();
    assert_eq!(call.operation.name(), "ListTrainingJobs");
    let wanted =
        json!({ "NameContains": "a", "MaxResults": 5, "CreationTimeAfter": 1_700_000_000.0 });
    assert_eq!(call.input, wanted);
    assert_eq!(validate(call.operation, &call.input), Ok(()));
}

#[test]
fn forms_become_the_input() {
    let body = b"Action=SimulatePrincipalPolicy&Version=2010-05-08&PolicySourceArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fr&ActionNames.member.1=s3%3AGetObject&ActionNames.member.2=s3%3APutObject";
    let call = decode(Service::Iam, &parts("/", &[]), body).unwrap();
    let arn = "arn:aws:iam::123456789012:role/r";
    let names = ["s3:GetObject", "s3:PutObject"];
    assert_eq!(call.input, json!({ "PolicySourceArn": arn, "ActionNames": names }));
    let get = parts("/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Signature=0", &[]);
    assert_eq!(decode(Service::Sts, &get, b"").unwrap().input, json!({}));
}

#[test]
fn ec2_has_a_protocol_of_its_own() {
    let body = b"Action=CreateSubnet&Version=2016-11-15&VpcId=vpc-1&CidrBlock=10.0.0.0%2F24&TagSpecification.1.ResourceType=subnet&TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=v&DryRun=true";
    let call = decode(Service::Ec2, &parts("/", &[]), body).unwrap();
    let tags = json!([{ "ResourceType": "subnet", "Tags": [{ "Key": "k", "Value": "v" }] }]);
    let wanted = json!({
        "VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24", "TagSpecifications": tags, "DryRun": true,
    });
    assert_eq!(call.input, wanted);
    let body = b"Action=DescribeVpcs&Version=2016-11-15&VpcId.1=vpc-1&Filter.1.Name=state&Filter.1.Value.1=available";
    let call = decode(Service::Ec2, &parts("/", &[]), body).unwrap();
    let filters = json!([{ "Name": "state", "Values": ["available"] }]);
    assert_eq!(call.input, json!({ "VpcIds": ["vpc-1"], "Filters": filters }));
    let shown = json!({ "Vpcs": [{ "VpcId": "vpc-1", "IsDefault": false, "Tags": null }] });
    let answer = encode(call.operation, &shown, "id");
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(text.contains("<requestId>id</requestId>"), "{text}");
    let set = "<vpcSet><item><isDefault>false</isDefault><vpcId>vpc-1</vpcId></item></vpcSet>";
    assert!(text.contains(set), "{text}");

    let body = b"Action=DeleteVpc&Version=2016-11-15";
    let call = decode(Service::Ec2, &parts("/", &[]), body).unwrap();
    let error = validate(call.operation, &call.input).unwrap_err();
    assert_eq!(error.to_string(), "MissingParameter: The request must contain the parameter vpcId");
    let error = refusal(&parts("/", &[]), Service::Ec2, "Action=DeleteVpc&Wing=b");
    assert_eq!(error.code, "InvalidParameterValue");
    let answer = encode_error(Service::Ec2, &error, "id");
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(text.contains("<Response><Errors><Error><Code>InvalidParameterValue</Code>"), "{text}");
}

#[test]
fn operations_that_are_not_served_are_named() {
    let error = refusal(&sagemaker("CreateTransformJob"), Service::SageMaker, "{}");
    assert_eq!(
        error.message,
        "Belljar does not serve the operation CreateTransformJob of SageMaker."
    );
    let error = refusal(&sagemaker("CreateUnicorn"), Service::SageMaker, "{}");
    assert_eq!(error.code, "UnknownOperationException");
    let error = refusal(&parts("/", &[]), Service::Iam, "Action=CreateUser&Version=2010-05-08");
    assert_eq!(error.message, "Belljar does not serve the operation CreateUser of IAM.");
    let error = refusal(&parts("/", &[]), Service::Iam, "Action=Fly&Version=2010-05-08");
    assert_eq!(error.message, "Could not find operation Fly for version 2010-05-08");
    let error = refusal(&parts("/", &[]), Service::Sts, "Version=2011-06-15");
    assert_eq!(error.code, "MissingAction");
}

#[test]
fn an_invocation_is_a_path_with_headers_and_a_body() {
    let path = "/endpoints/e/invocations";
    let headers = [("content-type", "text/csv"), ("x-amzn-sagemaker-target-model", "a.tar.gz")];
    let call = decode(Service::SageMakerRuntime, &parts(path, &headers), b"1,2").unwrap();
    let wanted = json!({
        "EndpointName": "e", "Body": "MSwy", "ContentType": "text/csv", "TargetModel": "a.tar.gz"
    });
    assert_eq!((call.operation.name(), &call.input), ("InvokeEndpoint", &wanted));
    assert_eq!(validate(call.operation, &call.input), Ok(()));
    let streamed = parts("/endpoints/e/invocations-response-stream", &[]);
    let call = decode(Service::SageMakerRuntime, &streamed, b"x").unwrap();
    assert_eq!(call.operation.name(), "InvokeEndpointWithResponseStream");
}

#[test]
fn unknown_members_are_refused_by_name() {
    let stop = sagemaker("StopTrainingJob");
    let error = refusal(&stop, Service::SageMaker, r#"{"TrainingJobName":"a","Force":true}"#);
    assert_eq!(error.code, "ValidationException");
    assert!(error.message.starts_with("Unknown member 'Force': StopTrainingJob"), "{error}");
    let body = r#"{"TrainingJobName":"a","ResourceConfig":{"Speed":9}}"#;
    let error = refusal(&sagemaker("CreateTrainingJob"), Service::SageMaker, body);
    assert!(error.message.starts_with("Unknown member 'ResourceConfig.Speed'"), "{error}");
    let error = refusal(&parts("/", &[]), Service::Iam, "Action=GetRole&RoleName=a&Wing.1=b");
    assert_eq!(error.code, "ValidationError");
    assert!(error.message.starts_with("Unknown member 'Wing'"), "{error}");
}

#[test]
fn what_cannot_be_read_is_refused_in_the_services_form() {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    for (body, what) in [
        ("{", "not valid JSON"),
        ("[]", "Start of list found where not expected"),
        ("{\"TrainingJobName\":1}", "NUMBER_VALUE can not be converted to a String"),
        ("{\"TrainingJobName\":true}", "TRUE_VALUE can not be converted to a String"),
        ("{\"TrainingJobName\":{}}", "Start of structure or map found where not expected"),
        ("{\"ResourceConfig\":{\"InstanceCount\":\"1\"}}", "STRING_VALUE can not be converted"),
        ("{\"ResourceConfig\":{\"InstanceCount\":1.5}}", "out of range"),
        ("{\"ResourceConfig\":{\"InstanceCount\":99999999999}}", "out of range"),
        ("{\"ResourceConfig\":{\"InstanceCount\":1e400}}", "not valid JSON"),
        (deep.as_str(), "not valid JSON"),
    ] {
        let error = refusal(&sagemaker("CreateTrainingJob"), Service::SageMaker, body);
        assert_eq!((error.status, error.code.as_ref()), (400, "SerializationException"), "{body}");
        assert!(error.message.contains(what), "{body}: {error}");
    }
    let bytes = b"{\"TrainingJobName\":\"\xff\"}";
    let error = decode(Service::SageMaker, &sagemaker("StopTrainingJob"), bytes).unwrap_err();
    assert_eq!(error.code, "SerializationException");
    let form = |body: &str| refusal(&parts("/", &[]), Service::Iam, body);
    assert_eq!(form("Action=GetRole&RoleName=%zz").code, "MalformedQueryString");
    assert_eq!(form("Action=GetRole&RoleName=a&RoleName=b").code, "MalformedInput");
    assert_eq!(form("Action=ListRoles&MaxItems=many").code, "MalformedInput");
    let long = format!("Action=GetRole&{}=1", "a.".repeat(500));
    assert_eq!(form(&long).code, "MalformedInput");
    let huge = vec![b' '; belljar_aws::limits::BODY + 1];
    let error = decode(Service::SageMaker, &sagemaker("StopTrainingJob"), &huge).unwrap_err();
    assert_eq!(error.status, 413);
}

#[test]
fn answers_have_the_form_of_their_protocol() {
    let body = |response: &http::Response<bytes::Bytes>| {
        String::from_utf8(response.body().to_vec()).unwrap()
    };
    let stop = Service::SageMaker.model().operation("StopTrainingJob").unwrap();
    let response = encode(stop, &json!({}), "id");
    assert_eq!(body(&response), "");
    assert_eq!(response.headers()["x-amzn-requestid"], "id");
    assert_eq!(response.headers()["content-type"], "application/x-amz-json-1.1");
    let identity = Service::Sts.model().operation("GetCallerIdentity").unwrap();
    let output = json!({ "UserId": "U", "Account": "123456789012", "Arn": "arn:aws:iam::123456789012:root" });
    assert_eq!(check_output(identity, &output), Ok(()));
    let text = body(&encode(identity, &output, "id"));
    let start = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <GetCallerIdentityResult><Account>123456789012</Account>";
    assert!(text.contains(start), "{text}");
    assert!(
        text.contains("<ResponseMetadata><RequestId>id</RequestId></ResponseMetadata>"),
        "{text}"
    );
    let taken = Service::SageMaker.error("ResourceInUse", "taken");
    let response = encode_error(Service::SageMaker, &taken, "id");
    let wanted = json!({ "__type": "ResourceInUse", "Message": "taken" });
    assert_eq!(serde_json::from_slice::<Value>(response.body()).unwrap(), wanted);
    let gone = Service::Iam.error("NoSuchEntityException", "a < b");
    let response = encode_error(Service::Iam, &gone, "id");
    assert_eq!(response.status(), 404);
    let wanted = "<Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>a &lt; b</Message></Error><RequestId>id</RequestId>";
    assert!(body(&response).contains(wanted), "{}", body(&response));
    let denied = AwsError::new(403, "AccessDenied", "no");
    assert!(body(&encode_error(Service::S3, &denied, "id")).contains("<Error><Code>AccessDenied"));
}

/// Members and values near those that the models have.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("TrainingJobName".to_owned()),
        Just("InputDataConfig".to_owned()),
        Just("Tags.member.1.Key".to_owned()),
        Just("ActionNames.member.99999999999999999999".to_owned()),
        Just("Action".to_owned()),
        "[a-zA-Z0-9.%&=+ -]{0,12}",
        any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(text(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn survives(service: Service, parts: &Parts, body: &[u8]) {
    let error = match decode(service, parts, body) {
        Ok(call) => match validate(call.operation, &call.input) {
            Ok(()) => return,
            Err(error) => error,
        },
        Err(error) => error,
    };
    assert!((400..500).contains(&error.status), "{error}");
    let response = encode_error(service, &error, "id");
    assert_eq!(response.status(), error.status);
    if matches!(service.model().protocol(), Protocol::Json | Protocol::RestJson) {
        serde_json::from_slice::<Value>(response.body()).unwrap();
    }
}

proptest! {
    #[test]
    fn any_head_is_routed_or_refused(uri in "/[!-~]{0,40}", headers in prop::collection::vec(
        (prop_oneof![Just("authorization"), Just("x-amz-target"), Just("host"), Just("x-amz-date")], "[ -~]{0,60}"), 0..4)) {
        let mut request = Request::post(&uri);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        if let Ok(request) = request.body(()) {
            let (parts, ()) = request.into_parts();
            let form = ErrorForm::guess(&parts);
            if let Err(error) = route(&parts) {
                prop_assert!((400..500).contains(&encode_error(form, &error, "id").status().as_u16()));
            }
            for service in Service::ALL {
                let now = time::OffsetDateTime::UNIX_EPOCH;
                let expected = belljar_aws::sigv4::Expected { service, region: "us-east-1", now };
                belljar_aws::sigv4::verify(expected, &parts, b"", |_| None).unwrap_err();
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(Service::SageMaker, &sagemaker("CreateTrainingJob"), &body);
        survives(Service::Iam, &parts("/", &[]), &[b"Action=CreateRole&", body.as_slice()].concat());
        survives(Service::SageMakerRuntime, &parts("/endpoints/a/invocations", &[]), &body);
    }

    #[test]
    fn any_json_is_read_or_refused(value in value(), name in text()) {
        let body = json!({ name: value, "TrainingJobName": "a" }).to_string();
        for operation in ["CreateTrainingJob", "ListTrainingJobs", "AddTags"] {
            survives(Service::SageMaker, &sagemaker(operation), body.as_bytes());
        }
    }

    #[test]
    fn any_form_is_read_or_refused(pairs in prop::collection::vec((text(), text()), 0..6)) {
        let form: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let body = format!("Action=SimulatePrincipalPolicy&{}", form.join("&"));
        survives(Service::Iam, &parts("/", &[]), body.as_bytes());
    }
}
