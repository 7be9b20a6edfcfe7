"""SageMaker's training API by boto3: every operation, every refusal, pages and filters; and jobs to
their end. Every answer is also held against botocore's model, by the service itself."""

import datetime
import itertools
import tarfile
import time

import pytest
from botocore.exceptions import ClientError, WaiterError
from conftest import ROOT
from service import ROLE

NUMBERS = itertools.count(1)
MISSING = "Requested resource not found."
PATIENT = (
    "import pathlib, signal, sys;"
    "signal.signal(15, lambda *_: sys.exit(pathlib.Path('/opt/ml/model/half').write_text('half') - 4));"
    "print('ready', flush=True);"
    "[signal.pause() for _ in iter(int, 1)]"
)


@pytest.fixture
def sagemaker(service):
    return service.client("sagemaker")


@pytest.fixture(scope="session")
def data(service) -> str:
    """A bucket with the example's data."""
    s3 = service.client("s3")
    s3.create_bucket(Bucket="api-data")
    for channel in ("train", "test"):
        s3.upload_file(str(ROOT / f"examples/digits/data/{channel}.csv"), "api-data", f"{channel}/{channel}.csv")
    return "api-data"


def channel(name: str, uri: str, **more) -> dict:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **more}


def request(**changes) -> dict:
    """A small request; a change to None takes a member away."""
    smallest = {
        "TrainingJobName": f"api-{next(NUMBERS)}",
        "AlgorithmSpecification": {"TrainingImage": "digits", "TrainingInputMode": "File"},
        "RoleArn": f"arn:aws:iam::123456789012:role/{ROLE}",
        "OutputDataConfig": {"S3OutputPath": "s3://api-data/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "EnableNetworkIsolation": True,
    }
    return {k: v for k, v in {**smallest, **changes}.items() if v is not None}


def ended(service, sagemaker, **changes) -> str:
    """A job that ends at once: its image is not there."""
    wanted = request(
        AlgorithmSpecification={"TrainingImage": "127.0.0.1:1/none", "TrainingInputMode": "File"},
        **changes,
    )
    sagemaker.create_training_job(**wanted)
    service.wait(wanted["TrainingJobName"])
    return wanted["TrainingJobName"]


def refusal(call, **arguments) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400, answer
    assert answer["ResponseMetadata"]["RequestId"]
    return answer["Error"]["Code"], answer["Error"]["Message"]


def test_a_job_from_request_to_artifacts(service, sagemaker, data):
    wanted = request(
        HyperParameters={"trees": "20"},
        InputDataConfig=[channel(c, f"s3://{data}/{c}") for c in ("train", "test")],
        AlgorithmSpecification={
            "TrainingImage": "digits",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "accuracy", "Regex": "accuracy=([0-9.]+)"}],
        },
        DebugHookConfig={"S3OutputPath": "s3://api-data/", "CollectionConfigurations": []},
        ProfilerConfig={"S3OutputPath": "s3://api-data/", "DisableProfiler": False},
        Tags=[{"Key": "team", "Value": "blue"}],
        Environment={"A": "b"},
    )
    name = wanted["TrainingJobName"]
    before = datetime.datetime.now(datetime.timezone.utc)
    arn = sagemaker.create_training_job(**wanted)["TrainingJobArn"]
    assert arn == f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}"
    early = sagemaker.describe_training_job(TrainingJobName=name)
    assert early["TrainingJobStatus"] in ("InProgress", "Completed")
    seen = service.wait(name)
    assert seen["TrainingJobStatus"] == "Completed", seen.get("FailureReason")
    for member in set(wanted) - {"Tags"}:
        assert seen[member] == wanted[member], member
    assert "Tags" not in seen
    assert seen["EnableManagedSpotTraining"] is False
    statuses = [t["Status"] for t in seen["SecondaryStatusTransitions"]]
    assert statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    for one, two in itertools.pairwise(seen["SecondaryStatusTransitions"]):
        assert one["StartTime"] <= one["EndTime"] == two["StartTime"]
        assert one["StatusMessage"]
    assert before <= seen["CreationTime"] + datetime.timedelta(milliseconds=1)
    assert seen["CreationTime"] <= seen["TrainingStartTime"] <= seen["TrainingEndTime"]
    assert seen["TrainingEndTime"] <= seen["LastModifiedTime"]
    assert seen["TrainingTimeInSeconds"] == seen["BillableTimeInSeconds"] >= 1
    (metric,) = seen["FinalMetricDataList"]
    assert metric["MetricName"] == "accuracy" and metric["Value"] > 0.9
    uri = seen["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri == f"s3://api-data/out/{name}/output/model.tar.gz"
    body = service.client("s3").get_object(Bucket="api-data", Key=uri.split("/", 3)[3])["Body"]
    with tarfile.open(fileobj=body, mode="r|gz") as tar:
        assert any(member.isfile() for member in tar)
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "blue"}]


def test_boto3s_waiter_sees_the_end(service, sagemaker):
    name = ended(service, sagemaker)
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    with pytest.raises(WaiterError) as caught:
        waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 2})
    assert "terminal failure state" in str(caught.value)
    seen = sagemaker.describe_training_job(TrainingJobName=name)
    assert seen["TrainingJobStatus"] == "Failed"
    assert seen["FailureReason"].startswith("ClientError: "), seen["FailureReason"]
    assert "ModelArtifacts" not in seen


def test_a_job_is_stopped_and_keeps_what_it_made(service, sagemaker, data, sklearn_image):
    wanted = request(
        AlgorithmSpecification={
            "TrainingImage": sklearn_image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "-c", PATIENT],
        },
    )
    name = wanted["TrainingJobName"]
    sagemaker.create_training_job(**wanted)
    # Before its program listens to TERM the container would sit out the time until KILL.
    end = time.monotonic() + 60
    while "ready" not in service.lines(name, "algo-1"):
        assert time.monotonic() < end, service.said
        time.sleep(0.02)
    code, text = refusal(sagemaker.delete_training_job, TrainingJobName=name)
    assert code == "ResourceInUse" and f"training-job/{name}" in text
    assert sagemaker.stop_training_job(TrainingJobName=name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    sagemaker.stop_training_job(TrainingJobName=name)
    assert sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] in ("Stopping", "Stopped")
    seen = service.wait(name)
    assert seen["TrainingJobStatus"] == "Stopped", seen.get("FailureReason")
    assert "Stopping" in [t["Status"] for t in seen["SecondaryStatusTransitions"]]
    assert seen["ModelArtifacts"]["S3ModelArtifacts"].endswith("/output/model.tar.gz")
    assert refusal(sagemaker.stop_training_job, TrainingJobName=name) == (
        "ValidationException",
        "The request was rejected because the training job is in status Stopped.",
    )


def test_names_are_used_once(service, sagemaker):
    name = ended(service, sagemaker)
    for again in (name, name.upper()):
        code, text = refusal(sagemaker.create_training_job, **request(TrainingJobName=again))
        assert code == "ResourceInUse"
        assert text == (
            "Training job names must be unique within an AWS account and region, and a training job"
            f" with this name already exists (arn:aws:sagemaker:us-east-1:123456789012:training-job/{name})"
        )


@pytest.mark.parametrize("operation", ["describe", "stop", "delete", "update"])
def test_what_is_not_there(sagemaker, operation):
    call = getattr(sagemaker, f"{operation}_training_job")
    assert refusal(call, TrainingJobName="none") == ("ValidationException", MISSING)


def test_a_deleted_job_is_gone_and_its_name_is_free(service, sagemaker):
    name = ended(service, sagemaker, Tags=[{"Key": "a", "Value": "1"}])
    arn = sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobArn"]
    sagemaker.delete_training_job(TrainingJobName=name)
    assert refusal(sagemaker.describe_training_job, TrainingJobName=name)[1] == MISSING
    assert refusal(sagemaker.list_tags, ResourceArn=arn)[1] == MISSING
    ended(service, sagemaker, TrainingJobName=name)
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []


def test_update_changes_nothing_and_says_what_it_cannot(service, sagemaker):
    name = ended(service, sagemaker)
    config = {"KeepAlivePeriodInSeconds": 60}
    code, text = refusal(sagemaker.update_training_job, TrainingJobName=name, ResourceConfig=config)
    assert (code, text) == (
        "ValidationException",
        "Belljar does not serve ResourceConfig of UpdateTrainingJob.",
    )


def test_lists_are_paged_sorted_and_filtered(service, sagemaker):
    names = [ended(service, sagemaker, TrainingJobName=f"page-{n}") for n in "cabed"]
    start = sagemaker.describe_training_job(TrainingJobName=names[0])["CreationTime"]

    def found(**arguments) -> list[str]:
        pages = sagemaker.get_paginator("list_training_jobs").paginate(
            NameContains="page-", PaginationConfig={"PageSize": 2}, **arguments
        )
        return [job["TrainingJobName"][-1] for page in pages for job in page["TrainingJobSummaries"]]

    assert found() == list("cabed"), "by creation, oldest first"
    assert found(SortOrder="Descending") == list("debac")
    assert found(SortBy="Name") == list("abcde")
    assert found(SortBy="Name", SortOrder="Descending") == list("edcba")
    assert found(SortBy="Status") == list("cabed")
    assert found(StatusEquals="Failed") == list("cabed")
    assert found(StatusEquals="Completed") == found(StatusEquals="Deleting") == []
    assert found(CreationTimeAfter=start) == list("abed")
    assert found(CreationTimeBefore=start) == []
    assert found(LastModifiedTimeBefore=start) == []
    (job,) = sagemaker.list_training_jobs(NameContains="page-c")["TrainingJobSummaries"]
    assert job["TrainingJobStatus"] == "Failed" and job["CreationTime"] == start
    first = sagemaker.list_training_jobs(MaxResults=2, NameContains="page-")
    token = first["NextToken"]
    # A place belongs to its question.
    for other in ({"NameContains": "e-"}, {"NameContains": "page-", "SortBy": "Name"}):
        code, _ = refusal(sagemaker.list_training_jobs, NextToken=token, **other)
        assert code == "ValidationException"
    assert refusal(sagemaker.list_training_jobs, NextToken="AAAA")[0] == "ValidationException"


def test_tags(service, sagemaker):
    name = ended(service, sagemaker)
    arn = sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobArn"]
    pairs = [{"Key": f"k{n:02}", "Value": "v"} for n in range(50)]
    assert sagemaker.add_tags(ResourceArn=arn, Tags=pairs)["Tags"] == pairs
    more = [{"Key": "more", "Value": "v"}]
    assert refusal(sagemaker.add_tags, ResourceArn=arn, Tags=more)[0] == "ValidationException"
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "k00", "Value": "new"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=[f"k{n:02}" for n in range(1, 50)] + ["none"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "k00", "Value": "new"}]
    reserved = [{"Key": "aws:x", "Value": "v"}]
    assert refusal(sagemaker.add_tags, ResourceArn=arn, Tags=reserved)[0] == "ValidationException"


REFUSED = {
    "FastFile": {"AlgorithmSpecification": {"TrainingImage": "digits", "TrainingInputMode": "FastFile"}},
    "KeepAlivePeriodInSeconds": {
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 1,
            "KeepAlivePeriodInSeconds": 60,
        }
    },
    "EnableManagedSpotTraining": {"EnableManagedSpotTraining": True},
    "MaxWaitTimeInSeconds": {"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}},
    "KmsKeyId": {"OutputDataConfig": {"S3OutputPath": "s3://api-data/out", "KmsKeyId": "alias/x"}},
    "FileSystemDataSource": {
        "InputDataConfig": [
            {
                "ChannelName": "a",
                "DataSource": {
                    "FileSystemDataSource": {
                        "FileSystemId": "fs-01234567890123456",
                        "FileSystemAccessMode": "ro",
                        "FileSystemType": "EFS",
                        "DirectoryPath": "/",
                    }
                },
            }
        ]
    },
    "RemoteDebugConfig": {"RemoteDebugConfig": {"EnableRemoteDebug": True}},
    "TensorBoardOutputConfig": {"TensorBoardOutputConfig": {"S3OutputPath": "s3://api-data/t"}},
    "ExperimentConfig": {"ExperimentConfig": {"ExperimentName": "e"}},
    "AlgorithmName": {"AlgorithmSpecification": {"AlgorithmName": "xgboost", "TrainingInputMode": "File"}},
}


@pytest.mark.parametrize("member", REFUSED)
def test_what_is_not_served_is_refused_by_name(sagemaker, member):
    code, text = refusal(sagemaker.create_training_job, **request(**REFUSED[member]))
    assert code == "ValidationException"
    assert text.startswith("Belljar does not serve ") and member in text, text


@pytest.mark.parametrize(
    "changes, part",
    [
        ({"RoleArn": "arn:aws:iam::123456789012:role/none"}, "role/none does not exist"),
        ({"OutputDataConfig": {"S3OutputPath": "https://example.com/x"}}, "give s3://bucket/prefix"),
        ({"InputDataConfig": [channel("a", "https://example.com/x")]}, "give s3://bucket/prefix"),
        ({"InputDataConfig": [channel("a", "s3://api-data/"), channel("a", "s3://api-data/")]}, "given twice"),
        ({"InputDataConfig": [channel("a", "s3://api-data/", CompressionType="Gzip")]}, "Pipe mode only"),
        ({"VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}}, "InvalidSubnetID.NotFound"),
        ({"AlgorithmSpecification": None}, "AlgorithmSpecification is required"),
        ({"ResourceConfig": None}, "ResourceConfig is required"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 2_419_201}}, "maximum runtime"),
    ],
)
def test_what_is_wrong_is_named(sagemaker, changes, part):
    code, text = refusal(sagemaker.create_training_job, **request(**changes))
    assert code == "ValidationException" and part in text, text


@pytest.mark.parametrize("image", ["oci:/etc", "docker-archive:/etc/passwd", "docker-daemon:x", "/etc", "file:///etc"])
def test_a_client_cannot_make_the_service_read_files(sagemaker, image):
    given = {"TrainingImage": image, "TrainingInputMode": "File"}
    code, text = refusal(sagemaker.create_training_job, **request(AlgorithmSpecification=given))
    assert code == "ValidationException" and "TrainingImage" in text


def test_the_model_speaks_in_the_services_words(sagemaker):
    bad = request(TrainingJobName="under_score", EnableNetworkIsolation=True)
    code, text = refusal(sagemaker.create_training_job, **bad)
    assert code == "ValidationException"
    assert text.startswith(
        "1 validation error detected: Value 'under_score' at 'trainingJobName' failed to satisfy"
        " constraint: Member must satisfy regular expression pattern: "
    ), text


def test_an_operation_that_is_not_served_is_named(sagemaker):
    with pytest.raises(ClientError) as caught:
        sagemaker.list_notebook_instances()
    assert "Belljar does not serve" in str(caught.value)


def test_signatures_are_verified(service):
    def code(**given) -> str:
        with pytest.raises(ClientError) as caught:
            service.client("sagemaker", **given).list_training_jobs()
        return caught.value.response["Error"]["Code"]

    service.client("sagemaker").list_training_jobs()
    assert code(aws_access_key_id="AKIAIOSFODNN7EXAMPLE") == "UnrecognizedClientException"
    assert code(aws_secret_access_key="wrong") == "InvalidSignatureException"
    assert code(aws_session_token="unasked") in ("UnrecognizedClientException", "InvalidSignatureException")


def test_keys_come_and_go_while_the_service_runs(service):
    text = service.belljar.must("keys", "create")
    key = dict(line.split("=", 1) for line in text.split())
    sts = service.client(
        "sagemaker",
        aws_access_key_id=key["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=key["AWS_SECRET_ACCESS_KEY"],
    )
    sts.list_training_jobs()
    listed = service.belljar.must("keys", "list")
    assert key["AWS_ACCESS_KEY_ID"] in listed and key["AWS_SECRET_ACCESS_KEY"] not in listed
    service.belljar.must("keys", "revoke", key["AWS_ACCESS_KEY_ID"])
    with pytest.raises(ClientError):
        sts.list_training_jobs()


def test_a_second_service_on_one_state_refuses_to_start(service):
    second = service.belljar.run("up", "--listen", "127.0.0.1:0", timeout=60)
    assert second.returncode == 4
    assert "another service" in second.stderr and "hint:" in second.stderr
    service.client("sagemaker").list_training_jobs()
