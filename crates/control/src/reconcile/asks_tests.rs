use super::*;
use crate::api::testing::Tested;
use belljar_domain::preflight::{Download, Needs, failure_reason, preflight};
use belljar_store::objects::{Condition, Meta};
use belljar_vpc::network::{Description, Network};
use belljar_vpc::sample;
use serde_json::{Value, from_value, json};

const ACCOUNT: &str = "123456789012";
const ROLE: &str = "arn:aws:iam::123456789012:role/service-role/Train";

/// An instance with a way to S3 by a gateway endpoint.
const NETWORK: &str = "
vpc vpc-1 10.0.0.0/16
subnet subnet-a vpc-1 us-east-1a 10.0.1.0/24
list pl-1 com.amazonaws.us-east-1.s3 AWS 52.216.0.0/15
group sg-1 vpc-1
  egress tcp 443 pl-1
acl acl-1 vpc-1 subnet-a
  ingress 100 allow tcp 1024-65535 0.0.0.0/0
  egress 100 allow tcp 443 0.0.0.0/0
table rtb-1 vpc-1 subnet-a
  pl-1 vpce-1
eni eni-1 subnet-a 10.0.1.10 sg-1
gateway vpce-1 vpc-1 com.amazonaws.us-east-1.s3 rtb-1
";

async fn scene() -> Tested {
    let t = Tested::new().await;
    let objects = &t.service.objects;
    objects.create_bucket("data".into()).await.unwrap();
    for key in ["train/", "train/a.csv", "train/b.csv", "checks/1"] {
        let received = objects.receive(&[]).finish().await.unwrap();
        let put =
            objects.put("data".into(), key.into(), received, Meta::default(), Condition::None);
        put.await.unwrap();
    }
    t
}

fn job() -> Assignment {
    from_value(json!({
        "generation": 0, "job": "j", "jobArn": "arn", "region": "us-east-1", "host": "algo-1",
        "instanceType": "ml.m5.large", "image": "digits", "output": "s3://out/models/",
        "channels": [
            {"name": "train", "uri": "s3://data/train", "contentType": null},
            {"name": "empty", "uri": "s3://data/none/", "contentType": null},
            {"name": "list", "uri": "s3://lists/l.manifest", "contentType": null,
             "dataType": "ManifestFile"},
        ],
        "resources": {"cpuMillis": null, "memoryBytes": null, "processes": 64},
        "stop": {"maxRuntimeSeconds": 60, "graceSeconds": 30},
    }))
    .unwrap()
}

fn network(policy: Option<&Value>) -> Network {
    let mut description: Description = sample::read(NETWORK).unwrap();
    for endpoint in description.endpoints.values_mut() {
        std::sync::Arc::make_mut(endpoint).policy = policy.map(Value::to_string);
    }
    Network::new(description).unwrap()
}

/// What the reason says, without the words that are always there; empty if nothing is in the way.
fn told(policy: Option<&Value>, requests: &[Request]) -> String {
    let network = network(policy);
    let instances = [network.interfaces.keys().next().unwrap().clone()];
    let requests = requests.to_vec();
    let needs = Needs { download: Download::Data, peers: false, encrypted: false, requests };
    let found = preflight(&network, "us-east-1", &instances, &needs);
    if found.is_empty() { String::new() } else { failure_reason(&found, "j") }
}

#[tokio::test]
async fn each_allowance_that_an_endpoints_policy_lacks_is_named_before_anything_starts() {
    let t = scene().await;
    let who = Principal::executing(ROLE, ACCOUNT);
    let requests = of_job(&t.service, &job(), &who);
    let allow = |action: &str, resource: &str| {
        let resource = format!("arn:aws:s3:::{resource}");
        json!({"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": action, "Resource": resource})
    };
    let needed = [
        allow("s3:ListBucket", "data"),
        allow("s3:GetObject", "data/train/*.csv"),
        allow("s3:ListBucket", "lists"),
        allow("s3:GetObject", "lists/l.manifest"),
        allow("s3:ListBucket", "out"),
        allow("s3:PutObject", "out/models/j/output/*"),
    ];
    assert_eq!(requests.len(), needed.len());
    assert_eq!(told(None, &requests), "");
    assert_eq!(told(Some(&json!({"Statement": needed})), &requests), "");
    for (missing, request) in needed.iter().zip(&requests) {
        let left: Vec<_> = needed.iter().filter(|s| *s != missing).collect();
        let reason = told(Some(&json!({"Statement": left})), &requests);
        let action = missing["Action"].as_str().unwrap();
        assert!(reason.contains("the policy of vpce-1 does not allow it"), "{missing}: {reason}");
        // It asks for no single request, and would find nothing in the way.
        assert!(!reason.contains("belljar explain"), "{reason}");
        assert!(reason.contains(&format!("{action} on {}", request.resource)), "{reason}");
        assert!(reason.contains("by arn:aws:sts::123456789012:assumed-role/Train/SageMaker"));
        assert_eq!(reason.matches("does not allow it").count(), 1);
    }
    // The role itself, whose path its session's ARN does not have; and nobody else.
    let mut other = json!({"Statement": needed});
    other["Statement"][0]["Principal"]["AWS"] = json!("arn:aws:iam::123456789012:role/Other");
    assert!(told(Some(&other), &requests).contains("s3:ListBucket on arn:aws:s3:::data by"));
    let condition = json!({"StringEquals": {"aws:PrincipalArn": ROLE}});
    let mut any = json!({"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"});
    any["Condition"] = condition;
    assert_eq!(told(Some(&json!({"Statement": any})), &requests), "");
}

#[tokio::test]
async fn only_what_is_sure_to_be_asked_counts() {
    let t = scene().await;
    let who = Principal::executing(ROLE, ACCOUNT);
    let mut loose = job();
    loose.output_compression = OutputCompression::None;
    loose.checkpoints = from_value(json!({"uri": "s3://data/checks", "localPath": "/x"})).unwrap();
    loose.channels.truncate(1);
    let all = of_job(&t.service, &loose, &who);
    let all: Vec<_> = all.iter().map(|r| format!("{} {}", r.action, r.resource)).collect();
    assert_eq!(
        all,
        [
            "s3:ListBucket arn:aws:s3:::data",
            "s3:GetObject arn:aws:s3:::data/train/a.csv",
            "s3:GetObject arn:aws:s3:::data/checks/1",
            "s3:ListBucket arn:aws:s3:::out",
        ]
    );
}

#[tokio::test]
async fn an_instance_of_an_endpoint_asks_for_its_models() {
    let t = scene().await;
    let who = Principal::executing(ROLE, ACCOUNT);
    let container = |model: Value, models: Value| json!({"name": "c", "image": "i", "specifiedImage": "i", "model": model, "models": models});
    let variant: Variant = from_value(json!({
        "name": "v", "model": "m", "instanceType": "ml.m5.large", "count": 1, "weight": 1.0,
        "resources": {"cpuMillis": null, "memoryBytes": null, "processes": 64},
        "downloadSeconds": 60, "startupSeconds": 60,
        "containers": [
            container(json!({"uri": "s3://data/model.tar.gz", "form": "archive"}), json!(null)),
            container(json!({"uri": "s3://data/train/", "form": "prefix"}), json!(null)),
            // Which of several models will be asked for is not known.
            container(json!(null), json!("s3://data/models/")),
        ],
    }))
    .unwrap();
    assert!(
        variant.is_isolated() && variant.role.is_none(),
        "a record of before gives no role away"
    );
    let all = of_variant(&t.service, &variant, &who);
    let all: Vec<_> = all.iter().map(|r| format!("{} {}", r.action, r.resource)).collect();
    assert_eq!(
        all,
        [
            "s3:GetObject arn:aws:s3:::data/model.tar.gz",
            "s3:ListBucket arn:aws:s3:::data",
            "s3:GetObject arn:aws:s3:::data/train/a.csv",
        ]
    );
}
