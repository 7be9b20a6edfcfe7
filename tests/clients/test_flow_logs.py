"""Flow logs of real packets: what a job in a VPC sent, as its records say it. One interval is 60 s, so these
tests run beside the others."""

import gzip
import json
import sys

import pytest
from conftest import ROOT, import_probe
from hosting import until
from service import ROLE, Service

sys.path.insert(0, str(ROOT / "examples"))
import private_network as example  # noqa: E402

BUCKET = "flow-logs"
GROUP = "/aws/vpc/flow-tests"
FIELDS = "version interface-id srcaddr dstaddr srcport dstport protocol packets bytes action log-status belljar-layer"
FORMAT = " ".join(f"${{{field}}}" for field in FIELDS.split())
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "vpc-flow-logs.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@pytest.fixture(scope="module")
def role(service) -> str:
    iam = service.client("iam")
    document = json.dumps(TRUST)
    return iam.create_role(RoleName="flow-tests", AssumeRolePolicyDocument=document)["Role"]["Arn"]


def test_what_a_job_sent_is_in_logs_and_in_s3(service, role, digits_image):
    ec2, s3, logs = (service.client(name) for name in ("ec2", "s3", "logs"))
    sagemaker = service.client("sagemaker")
    s3.create_bucket(Bucket=BUCKET)
    s3.upload_file(str(ROOT / "examples/digits/data/train.csv"), BUCKET, "train/train.csv")
    s3.upload_file(str(ROOT / "examples/digits/data/test.csv"), BUCKET, "test/test.csv")
    with example.private_network("flow-tests", ec2) as network:
        asked = {"ResourceType": "VPC", "ResourceIds": [network.vpc], "TrafficType": "ALL", "MaxAggregationInterval": 60}
        to_logs = {"LogGroupName": GROUP, "DeliverLogsPermissionArn": role}
        to_s3 = {"LogDestinationType": "s3", "LogDestination": f"arn:aws:s3:::{BUCKET}/records/"}
        made = [ec2.create_flow_logs(**asked, **to, LogFormat=FORMAT)["FlowLogIds"] for to in (to_logs, to_s3)]
        job = {
            "TrainingJobName": "flow-tests",
            "RoleArn": f"arn:aws:iam::123456789012:role/{ROLE}",
            "AlgorithmSpecification": {"TrainingImage": "digits", "TrainingInputMode": "File"},
            "HyperParameters": {"trees": "10"},
            "InputDataConfig": [
                {
                    "ChannelName": name,
                    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{name}/"}},
                }
                for name in ("train", "test")
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 120},
            "EnableNetworkIsolation": True,
            "VpcConfig": network.config(network.training),
        }
        sagemaker.create_training_job(**job)
        described = until(lambda: ended(sagemaker, "flow-tests"), "flow-tests", timeout=90)
        assert described["TrainingJobStatus"] == "Completed", described

        def records():
            groups = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
            found = logs.filter_log_events(logGroupName=GROUP)["events"] if groups else []
            said = [dict(zip(FIELDS.split(), event["message"].split())) for event in found]
            return [r for r in said if r["log-status"] == "OK" and r["dstport"] == "443"]

        sent = until(records, "records in CloudWatch Logs", timeout=150, pause=1)
        for record in sent:
            assert record["version"] == "2" and record["protocol"] == "6", record
            assert record["action"] == "ACCEPT" and record["belljar-layer"] == "-", record
            assert record["srcaddr"].startswith("10.20.") and int(record["bytes"]) > 0, record
            assert record["dstaddr"].split(".")[0] in ("3", "52", "54"), "an address of S3"
        streams = logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
        assert {s["logStreamName"] for s in streams} >= {f"{r['interface-id']}-all" for r in sent}

        def objects():
            return s3.list_objects_v2(Bucket=BUCKET, Prefix="records/AWSLogs/123456789012/vpcflowlogs/").get("Contents")

        # An interval with packets is behind us: what is in S3 by now has them.
        texts = until(
            lambda: [t for t in (text(s3, o["Key"]) for o in objects() or ()) if " 443 6 " in t], "an object", 90, 1
        )
        assert texts[0].splitlines()[0] == FIELDS
        ec2.delete_flow_logs(FlowLogIds=[one for ids in made for one in ids])


def ended(sagemaker, name: str) -> dict | None:
    described = sagemaker.describe_training_job(TrainingJobName=name)
    return described if described["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None


def text(s3, key: str) -> str:
    return gzip.decompress(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()).decode()


def test_a_service_that_stops_loses_no_record(belljar, probe_image):
    state = belljar.new_folder("stops")
    import_probe(belljar, state)
    service = Service(belljar, state=state).start()
    ec2, iam, logs = (service.client(name) for name in ("ec2", "iam", "logs"))
    trusted = iam.create_role(RoleName="flow-tests", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    network = example.build(ec2, ec2.create_vpc(CidrBlock=example.BLOCK)["Vpc"]["VpcId"], "stops")
    # Its interval has most of ten minutes to go.
    to = {"LogGroupName": GROUP, "DeliverLogsPermissionArn": trusted, "LogFormat": FORMAT}
    ec2.create_flow_logs(ResourceType="VPC", ResourceIds=[network.vpc], TrafficType="ALL", **to)
    service.client("s3").create_bucket(Bucket=BUCKET)
    job = {
        "TrainingJobName": "stops",
        "RoleArn": service.role,
        "AlgorithmSpecification": {
            "TrainingImage": "probe",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/probe"],
            "ContainerArguments": ["connect", "s3.us-east-1.amazonaws.com:443"],
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 120},
        "VpcConfig": network.config(network.training),
    }
    service.client("sagemaker").create_training_job(**job)
    assert service.wait("stops")["TrainingJobStatus"] == "Completed"
    service.stop()
    service.start()
    try:
        found = service.client("logs").filter_log_events(logGroupName=GROUP)["events"]
        said = [dict(zip(FIELDS.split(), event["message"].split())) for event in found]
        assert [r for r in said if r["dstport"] == "443" and r["action"] == "ACCEPT"], said
        assert len({event["message"] for event in found}) == len(found), "none is there twice"
    finally:
        service.stop()
