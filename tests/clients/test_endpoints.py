"""Endpoints of the service, through boto3 and the AWS command line: from a model that a job trained
to what each request sees of a container, updates under load, and evidence."""

import base64
import csv
import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, EventStreamError
from conftest import ROOT
from hosting import BUCKET, GROUP, ROLE_ARN, TYPE, archive, refusal, until, variant

ACCOUNT = "123456789012"
ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}"
ISOLATED = "EnableNetworkIsolation"
QUICK = {"Delay": 1, "MaxAttempts": 60}
"""Of boto3's waiters, which pause for half a minute otherwise."""


@pytest.fixture(scope="module")
def behaving(hosting, behave_image):
    """An endpoint with one instance of `behave` that tests share, and leave as they find it."""
    with hosting.behaving(behave_image, environment={"GIVEN": "value"}) as name:
        yield name


@pytest.fixture(scope="module")
def digits_model(service, hosting) -> str:
    """What a job learnt of the example: a URI."""
    for channel in ("train", "test"):
        hosting.put(f"digits/{channel}/data.csv", (ROOT / f"examples/digits/data/{channel}.csv").read_bytes())
    source = {"S3DataType": "S3Prefix", "S3DataDistributionType": "FullyReplicated"}
    service.client("sagemaker").create_training_job(
        TrainingJobName="hosting-digits",
        RoleArn=ROLE_ARN,
        AlgorithmSpecification={"TrainingImage": "digits", "TrainingInputMode": "File"},
        InputDataConfig=[
            {"ChannelName": c, "DataSource": {"S3DataSource": {**source, "S3Uri": f"s3://{BUCKET}/digits/{c}/"}}}
            for c in ("train", "test")
        ],
        HyperParameters={"trees": "20", "phone_home": "false"},
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
        ResourceConfig={"InstanceType": TYPE, "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        EnableNetworkIsolation=True,
    )
    seen = service.wait("hosting-digits")
    assert seen["TrainingJobStatus"] == "Completed", seen
    return seen["ModelArtifacts"]["S3ModelArtifacts"]


def held_out() -> list[list[str]]:
    with (ROOT / "examples/digits/data/test.csv").open(newline="") as file:
        return list(csv.reader(file))

@pytest.mark.parametrize("road", ["invocations", "invocations-response-stream"])
def test_only_who_signs_reaches_a_container(service, hosting, behaving, road):
    """The container counts what reaches it: one request of each that is signed as it must be."""
    env = service.environment
    url = f"{env['AWS_ENDPOINT_URL']}/endpoints/{behaving}/{road}"
    body = json.dumps({"do": "count"}).encode()

    def status(secret: str | None, sent: bytes = body, **credentials) -> int:
        request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json"})
        if secret:
            key = Credentials(env["AWS_ACCESS_KEY_ID"], secret, **credentials)
            SigV4Auth(key, "sagemaker", env["AWS_REGION"]).add_auth(request)
        given = urllib.request.Request(url, data=sent, headers=dict(request.headers.items()))
        try:
            with urllib.request.urlopen(given, timeout=30) as answer:
                answer.read()
                return answer.status
        except urllib.error.HTTPError as e:
            return e.code

    secret = env["AWS_SECRET_ACCESS_KEY"]
    before = hosting.tell(behaving, "count")["served"]
    assert status(secret) == 200
    assert hosting.tell(behaving, "count")["served"] == before + 2
    assert status(None) in (400, 403)
    assert status("x" * 40) in (400, 403)
    assert status(secret, sent=body + b" ") in (400, 403)
    assert status(secret, token="not-this-key's") in (400, 403)
    assert hosting.tell(behaving, "count")["served"] == before + 3, "nothing else was let through"


def test_a_model_that_a_job_trained(hosting, digits_model):
    """From request to evidence, with the waiters that everyone uses."""
    sagemaker = hosting.sagemaker
    model = hosting.model("digits", digits_model)
    config = hosting.config(variant(model, count=2))
    arn = sagemaker.create_endpoint(EndpointName="Digits", EndpointConfigName=config, Tags=[{"Key": "team", "Value": "blue"}])
    assert arn["EndpointArn"] == f"{ARN}:endpoint/digits"
    early = hosting.describe("Digits")
    assert early["EndpointStatus"] in ("Creating", "InService")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="Digits", WaiterConfig=QUICK)
    seen = hosting.describe("Digits")
    assert (seen["EndpointName"], seen["EndpointArn"]) == ("Digits", arn["EndpointArn"])
    assert (seen["EndpointStatus"], seen["EndpointConfigName"]) == ("InService", config)
    assert seen["CreationTime"] <= seen["LastModifiedTime"]
    assert "FailureReason" not in seen
    (shown,) = seen["ProductionVariants"]
    assert (shown["VariantName"], shown["CurrentWeight"], shown["DesiredWeight"]) == ("AllTraffic", 1.0, 1.0)
    assert (shown["CurrentInstanceCount"], shown["DesiredInstanceCount"]) == (2, 2)
    assert shown["DeployedImages"][0]["SpecifiedImage"] == "digits"

    rows = held_out()
    body = "\n".join(",".join(row[1:]) for row in rows)
    answer = hosting.invoke("Digits", body, ContentType="text/csv", Accept="application/json")
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    found = json.loads(answer["Body"])["predictions"]
    right = sum(digit == int(row[0]) for digit, row in zip(found, rows, strict=True))
    assert right / len(rows) > 0.9
    assert hosting.invoke("Digits", body, ContentType="text/csv")["Body"].decode().split() == [str(d) for d in found]

    wrong = hosting.refused("Digits", "{}", ContentType="application/json")
    assert wrong["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (wrong["Error"]["Code"], wrong["OriginalStatusCode"]) == ("ModelError", 415)
    assert wrong["OriginalMessage"] == "Content-Type must be text/csv\n"
    group = f"{GROUP}/Digits"
    assert wrong["LogStreamArn"] == f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}"
    assert wrong["Error"]["Message"] == (
        'Received client error (415) from primary with message "Content-Type must be text/csv\n". See '
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#logEventViewer:"
        f"group={group} in account {ACCOUNT} for more information."
    )

    servers = [server["id"] for server in hosting.servers("Digits")]

    def serve() -> list[str]:
        """The streams that say so."""
        return sorted(s for s, lines in hosting.streams("Digits").items() if "serving on 0.0.0.0:8080" in lines)

    until(lambda: len(serve()) == 2, lambda: f"both instances log: {hosting.streams('Digits')}")
    assert serve() == sorted(hosting.streams("Digits")) == sorted(f"AllTraffic/{server}" for server in servers)
    files = hosting.evidence("Digits")
    assert len(files) == 2, files
    for file in files:
        said = hosting.service.belljar.must("evidence", "verify", file)
        assert "Digits" in said, said

    sagemaker.delete_endpoint(EndpointName="Digits")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="Digits", WaiterConfig=QUICK)
    gone = refusal(sagemaker.describe_endpoint, EndpointName="Digits")["Error"]
    assert gone == {"Code": "ValidationException", "Message": f'Could not find endpoint "{ARN}:endpoint/digits".'}
    assert not any(hosting.wardens(server) for server in servers)
    until(lambda: all("stopped by TERM" in lines for lines in hosting.streams("Digits").values()), "their last words")
    assert len(hosting.evidence("Digits")) == 2, "what is stated stays"
    for file in hosting.evidence("Digits"):
        hosting.service.belljar.must("evidence", "verify", file)


def test_what_a_container_sees(hosting, behaving):
    answer = hosting.invoke(
        behaving,
        b"hello",
        ContentType="text/x-odd; charset=utf-8",
        Accept="text/*",
        CustomAttributes="trace=1",
        InferenceId="inference-1",
    )
    seen = json.loads(answer["Body"])
    assert seen["body"] == "hello"
    assert seen["path"] == "/invocations"
    headers = seen["headers"]
    assert headers["content-type"] == "text/x-odd; charset=utf-8"
    assert headers["accept"] == "text/*"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "trace=1"
    assert headers["x-amzn-sagemaker-inference-id"] == "inference-1"
    assert headers["content-length"] == "5"
    assert not {"authorization", "x-amz-date", "user-agent", "amz-sdk-request", "x-forwarded-for"} & set(headers), headers
    assert seen["environment"]["GIVEN"] == "value"
    names = set(seen["environment"])
    assert not [n for n in names if n.startswith("AWS_") and n not in ("AWS_REGION", "AWS_DEFAULT_REGION")], names
    assert "SAGEMAKER_BIND_TO_PORT" not in names and "SAGEMAKER_MULTI_MODEL" not in names
    assert "CustomAttributes" not in answer, "it gave none"


def test_bytes_go_in_and_out_as_they_are(hosting, behaving):
    body = bytes(range(256)) * 5000
    assert base64.b64decode(json.loads(hosting.invoke(behaving, body)["Body"])["base64"]) == body
    headers = {"Content-Type": "application/x-own", "X-Amzn-SageMaker-Custom-Attributes": "back=2"}
    told = json.dumps({"do": "reply", "text": "é", "headers": headers})
    answer = hosting.invoke(behaving, told)
    assert (answer["Body"].decode(), answer["ContentType"], answer["CustomAttributes"]) == ("é", "application/x-own", "back=2")
    assert hosting.tell(behaving, "size", bytes=20 << 20) == b"x" * (20 << 20)
    assert hosting.tell(behaving, "size", bytes=3 << 20, chunked=True) == b"x" * (3 << 20)


def test_what_a_container_answers_wrongly(hosting, behaving):
    answer = hosting.fails(behaving, "reply", status=500, text="no luck: ü")
    assert (answer["OriginalStatusCode"], answer["OriginalMessage"]) == (500, "no luck: ü")
    assert answer["Error"]["Message"].startswith('Received server error (500) from primary with message "no luck: ü". See ')
    assert hosting.fails(behaving, "reply", status=404, text="")["OriginalStatusCode"] == 404
    assert hosting.fails(behaving, "reply", status=302, headers={"Location": "/ping"})["OriginalStatusCode"] == 302
    # The inference toolkit puts its whole message into the status line.
    long = hosting.fails(behaving, "reply", status=500, text="y" * 100_000, reason="z" * 3000)
    assert long["OriginalStatusCode"] == 500 and set(long["OriginalMessage"]) == {"y"}


def test_what_is_asked_wrongly(hosting, behaving):
    unknown = hosting.refused("no-such-endpoint")
    assert unknown["Error"] == {
        "Code": "ValidationError",
        "Message": f"Endpoint no-such-endpoint of account {ACCOUNT} not found.",
    }
    assert unknown["ResponseMetadata"]["HTTPStatusCode"] == 400
    for more in ({"TargetVariant": "other"}, {"TargetModel": "m.tar.gz"}, {"TargetContainerHostname": "second"}):
        error = hosting.refused(behaving, **more)["Error"]
        assert error["Code"] == "ValidationError", (more, error)
    large = hosting.refused(behaving, b"x" * ((25 << 20) + 1))
    assert large["ResponseMetadata"]["HTTPStatusCode"] == 413, large
    assert "more than 26214400 bytes" in large["Error"]["Message"], large
    assert hosting.tell(behaving, "add", n=1)["n"] == 2, "and nothing is the worse for it"
    long = hosting.refused(behaving, CustomAttributes="a" * 1025)["Error"]
    assert long["Code"] == "ValidationError" and "1024" in long["Message"], long


def test_names_are_taken_once(hosting, behave_image):
    sagemaker = hosting.sagemaker
    model = hosting.model(behave_image)
    again = refusal(sagemaker.create_model, ModelName=model, PrimaryContainer={"Image": behave_image}, ExecutionRoleArn=ROLE_ARN)
    assert again["Error"] == {
        "Code": "ValidationException",
        "Message": f'Cannot create already existing model "{ARN}:model/{model}".',
    }
    config = hosting.config(model)
    again = refusal(sagemaker.create_endpoint_config, EndpointConfigName=config, ProductionVariants=[variant(model)])
    assert again["Error"]["Message"] == f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/{config}".'
    with hosting.endpoint(model) as name:
        again = refusal(sagemaker.create_endpoint, EndpointName=name, EndpointConfigName=config)
        assert again["Error"]["Message"] == f'Cannot create already existing endpoint "{ARN}:endpoint/{name}".'
        listed = sagemaker.list_endpoints(NameContains=name)["Endpoints"]
        assert [(e["EndpointName"], e["EndpointStatus"]) for e in listed] == [(name, "InService")]
        sagemaker.add_tags(ResourceArn=f"{ARN}:endpoint/{name}", Tags=[{"Key": "a", "Value": "b"}])
        assert sagemaker.list_tags(ResourceArn=f"{ARN}:endpoint/{name}")["Tags"] == [{"Key": "a", "Value": "b"}]
    nothing = refusal(sagemaker.create_endpoint, EndpointName="x", EndpointConfigName="no-such-config")
    assert nothing["Error"]["Message"] == f'Could not find endpoint configuration "{ARN}:endpoint-config/no-such-config".'
    nothing = refusal(sagemaker.create_endpoint_config, EndpointConfigName="y", ProductionVariants=[variant("no-such-model")])
    assert nothing["Error"]["Message"] == f'Could not find model "{ARN}:model/no-such-model".'
    sagemaker.delete_endpoint_config(EndpointConfigName=config)
    sagemaker.delete_model(ModelName=model)
    gone = refusal(sagemaker.describe_model, ModelName=model)["Error"]
    assert gone["Code"] == "ValidationException" and gone["Message"].startswith("Could not find model"), gone


def test_weights_share_the_traffic(hosting, behave_image):
    one, two = hosting.model(behave_image), hosting.model(behave_image)
    with hosting.endpoint(variant(one, "one", weight=3), variant(two, "two", weight=1)) as name:

        def shares(requests: int) -> dict[str, int]:
            with ThreadPoolExecutor(16) as pool:
                asked = [pool.submit(hosting.invoke, name, b"x") for _ in range(requests)]
            found = [a.result()["InvokedProductionVariant"] for a in asked]
            return {v: found.count(v) for v in ("one", "two")}

        seen = shares(400)
        # Four standard deviations of a binomial distribution.
        assert abs(seen["one"] - 300) < 4 * (400 * 0.75 * 0.25) ** 0.5, seen
        for wanted in ("one", "two"):
            assert hosting.invoke(name, b"x", TargetVariant=wanted)["InvokedProductionVariant"] == wanted
        born = hosting.tell(name, "count", {"TargetVariant": "one"})["born"]

        hosting.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name,
            DesiredWeightsAndCapacities=[
                {"VariantName": "one", "DesiredWeight": 0},
                {"VariantName": "two", "DesiredWeight": 1, "DesiredInstanceCount": 2},
            ],
        )
        seen = hosting.wait(name)
        by_name = {v["VariantName"]: v for v in seen["ProductionVariants"]}
        assert (by_name["one"]["CurrentWeight"], by_name["one"]["CurrentInstanceCount"]) == (0, 1)
        assert (by_name["two"]["CurrentWeight"], by_name["two"]["CurrentInstanceCount"]) == (1, 2)
        assert shares(50) == {"one": 0, "two": 50}
        assert hosting.tell(name, "count", {"TargetVariant": "one"})["born"] == born, "what was there stays"
        births = {hosting.tell(name, "count")["born"] for _ in range(40)}
        assert len(births) == 2, "both instances have requests"

        hosting.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name,
            DesiredWeightsAndCapacities=[{"VariantName": "two", "DesiredInstanceCount": 1}],
        )
        seen = hosting.wait(name)
        counts = {v["VariantName"]: v["CurrentInstanceCount"] for v in seen["ProductionVariants"]}
        assert counts == {"one": 1, "two": 1}
        unknown = refusal(
            hosting.sagemaker.update_endpoint_weights_and_capacities,
            EndpointName=name,
            DesiredWeightsAndCapacities=[{"VariantName": "three", "DesiredWeight": 1}],
        )
        assert unknown["Error"]["Code"] == "ValidationException" and "three" in unknown["Error"]["Message"]


class Load:
    """Requests without a pause, until they are enough; each must be answered, and rightly."""

    def __init__(self, hosting, name: str, threads: int = 8):
        self.hosting, self.name, self.threads = hosting, name, threads
        self.over = threading.Event()
        self.answers: list[tuple[float, dict]] = []
        """With when they were asked for."""
        self.failed: list[Exception] = []

    def ask(self) -> None:
        while not self.over.is_set():
            n, asked = random.randrange(1 << 40), time.monotonic()
            try:
                answer = self.hosting.tell(self.name, "add", n=n)
                assert answer["n"] == n + 1, answer
                self.answers.append((asked, answer))
            except Exception as e:  # noqa: BLE001: whatever it is, it was lost
                self.failed.append(e)

    def __enter__(self):
        self.running = [threading.Thread(target=self.ask) for _ in range(self.threads)]
        for thread in self.running:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        for thread in self.running:
            thread.join(timeout=120)


def test_an_update_loses_no_request(hosting, behave_image):
    first = hosting.model(behave_image, environment={"SLOW_START": "0.2"})
    second = hosting.model(behave_image, environment={"SLOW_START": "1"})
    with hosting.endpoint(variant(first, count=2)) as name, Load(hosting, name) as load:
        until(lambda: len(load.answers) > 100, lambda: f"it answers: {load.failed[:3]}")
        old = {s["id"] for s in hosting.servers(name)}
        config = hosting.config(variant(second, count=2))
        hosting.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
        assert hosting.describe(name)["EndpointStatus"] == "Updating"
        seen = hosting.wait(name)
        over_at = time.monotonic()
        assert seen["EndpointConfigName"] == config
        until(lambda: not old & {s["id"] for s in hosting.servers(name)}, "the old fleet is gone", 90)
        until(lambda: not any(hosting.wardens(s) for s in old), "with its wardens")

        def later() -> set:
            """Who answered what was asked once the new fleet had taken over."""
            return {answer["born"] for asked, answer in load.answers[:] if asked > over_at}

        # The old fleet may be gone at once, so the load goes on until it has shown something.
        until(lambda: len(later()) >= 2, lambda: f"both new instances answer: {later()}")
        load.over.set()
    assert not load.failed, f"{len(load.failed)} of {len(load.answers)}: {load.failed[:3]}"
    assert len({answer["born"] for _, answer in load.answers}) == 4, "two instances before, two after"
    assert len(later()) == 2, "no request goes to the old fleet when the new one has taken over"


def test_an_update_that_fails_changes_nothing(hosting, behave_image):
    good, bad = hosting.model(behave_image), hosting.model(behave_image, environment={"DIES_AT_START": "3"})
    with hosting.endpoint(good) as name, Load(hosting, name, threads=2) as load:
        before = hosting.describe(name)["EndpointConfigName"]
        born = hosting.tell(name, "count")["born"]
        hosting.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=hosting.config(bad))
        seen = hosting.wait(name)
        assert seen["EndpointConfigName"] == before
        assert "did not pass the ping health check" in seen["FailureReason"], seen
        assert hosting.tell(name, "count")["born"] == born, "the same instance as before"
        until(lambda: len(hosting.servers(name)) == 1, "what was tried is gone")
        load.over.set()
    assert not load.failed, load.failed[:3]


def test_what_never_comes_up_fails_and_says_why(hosting, behave_image):
    short = {"ContainerStartupHealthCheckTimeoutInSeconds": 60}
    model = hosting.model(behave_image, environment={"DIES_AT_START": "3"})
    name = hosting.create(hosting.config(variant(model, **short)))
    try:
        seen = hosting.wait(name, "Failed")
        assert seen["EndpointConfigName"] and seen["ProductionVariants"][0]["CurrentInstanceCount"] == 0
        assert seen["FailureReason"].startswith(
            "The primary container for production variant AllTraffic did not pass the ping health check. "
            "Please check CloudWatch logs for this endpoint."
        ), seen
        until(lambda: "dies at start" in hosting.lines(name), "its last words are kept")
        assert hosting.refused(name)["Error"]["Code"] == "ValidationError"
        again = refusal(
            hosting.sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=hosting.config(hosting.model(behave_image))
        )
        assert again["Error"]["Code"] == "ValidationException", "it can only be deleted"
    finally:
        hosting.delete(name)
    model = hosting.model(behave_image, f"s3://{BUCKET}/no-such/model.tar.gz")
    name = hosting.create(hosting.config(model))
    try:
        reason = hosting.wait(name, "Failed")["FailureReason"]
        assert f's3://{BUCKET}/no-such/model.tar.gz' in reason, reason
    finally:
        hosting.delete(name)


def test_it_is_sealed_and_what_it_tries_is_evidence(hosting, behave_image):
    with hosting.behaving(behave_image, environment={"CALLS_OUT": "1"}) as name:
        found = hosting.tell(name, "call_out")
        assert set(found) == {"169.254.169.254", "192.0.2.7", "telemetry.example.com"}
        assert "REACHED" not in found.values() and "TimeoutError" not in found.values(), found
    until(lambda: "stopped by TERM" in hosting.lines(name), "its last words are kept")
    assert any(line.startswith("tried 169.254.169.254: ") for line in hosting.lines(name))
    (file,) = hosting.evidence(name)
    belljar = hosting.service.belljar
    belljar.must("evidence", "verify", file)
    said = belljar.must("evidence", "show", file)
    for tried in ("169.254.169.254", "192.0.2.7", "telemetry.example.com"):
        assert tried in said, said


def test_the_first_lines_say_what_was_not_asked_for(hosting, behave_image):
    name = hosting.name("model")
    hosting.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE_ARN, PrimaryContainer={"Image": behave_image})
    assert hosting.sagemaker.describe_model(ModelName=name)[ISOLATED] is False
    with hosting.endpoint(name) as endpoint:
        until(lambda: hosting.lines(endpoint), "it logs")
        assert ISOLATED in hosting.lines(endpoint)[0]


def containers(image: str, *names: str | None, **environment) -> list[dict]:
    made = [{"Image": image, "Environment": environment} for _ in names]
    return [{**c, "ContainerHostname": n} if n else c for c, n in zip(made, names, strict=True)]


def test_a_pipeline(hosting, behave_image):
    """Each container gets what the one before it answered."""
    model = hosting.model_of(Containers=containers(behave_image, "first", "second", "third"))
    with hosting.endpoint(model) as name:
        answer = hosting.tell(name, "add", n=1)
        assert (answer["n"], answer["hostname"]) == (4, "third")
        # The first answers with what the second is to answer with: the third echoes that.
        inner = json.dumps({"do": "reply", "text": "no JSON", "headers": {"Content-Type": "text/x-mine"}})
        outer = json.dumps({"do": "reply", "text": inner, "headers": {"Content-Type": "application/x-inner"}})
        answer = hosting.invoke(name, outer, Accept="text/x-wanted")
        seen = json.loads(answer["Body"])
        assert (seen["body"], seen["headers"]["content-type"], seen["headers"]["accept"]) == ("no JSON", "text/x-mine", "text/x-wanted")
        assert seen["environment"]["SAGEMAKER_BIND_TO_PORT"].isdigit()
        failed = hosting.fails(name, "reply", status=500, text="stuck")
        assert "from first with message \"stuck\"" in failed["Error"]["Message"]
        assert hosting.refused(name, TargetContainerHostname="first")["Error"]["Code"] == "ValidationError"
        until(lambda: len(hosting.streams(name)) == 3, "each container has a stream")
        assert {stream.rsplit("/", 1)[1] for stream in hosting.streams(name)} == {"first", "second", "third"}


def test_containers_that_are_invoked_directly(hosting, behave_image):
    model = hosting.model_of(
        Containers=containers(behave_image, "first", "second"), InferenceExecutionConfig={"Mode": "Direct"}
    )
    with hosting.endpoint(model) as name:
        for wanted in ("first", "second"):
            answer = hosting.tell(name, "add", {"TargetContainerHostname": wanted}, n=1)
            assert (answer["n"], answer["hostname"]) == (2, wanted)
        assert hosting.refused(name)["Error"]["Code"] == "ValidationError", "one must be named"
        assert "third" in hosting.refused(name, TargetContainerHostname="third")["Error"]["Message"]
        failed = hosting.fails(name, "reply", {"TargetContainerHostname": "second"}, status=500)
        assert "from second with" in failed["Error"]["Message"]


def models(hosting, count: int) -> str:
    """A prefix with that many models, each of which knows which it is."""
    prefix = f"models-{next(hosting.numbers)}/"
    for n in range(count):
        hosting.put(f"{prefix}deep/model {n}.tar.gz", archive({"which": str(n), "code/inference.py": "x"}))
    hosting.put(f"{prefix}refused.tar.gz", archive({"refused": "1"}))
    hosting.put(f"{prefix}broken.tar.gz", b"no archive")
    return f"s3://{BUCKET}/{prefix}"


def test_many_models_in_one_container(hosting, behave_image):
    url = models(hosting, 5)
    model = hosting.model(behave_image, url, {"MODELS_FIT": "2"}, Mode="MultiModel")
    with hosting.endpoint(model) as name:

        def which(n: int) -> None:
            target = {"TargetModel": f"deep/model {n}.tar.gz"}
            seen = hosting.tell(name, "echo", target)
            assert seen["environment"]["SAGEMAKER_MULTI_MODEL"] == "true"
            assert seen["headers"]["x-amzn-sagemaker-target-model"] == target["TargetModel"]
            folder = seen["model"]
            assert folder.startswith("/opt/ml/models/") and folder.endswith("/model")
            assert hosting.tell(name, "files", target, folder=folder) == {"which": str(n), "code/inference.py": "x"}

        for n in (0, 1, 2, 3, 4, 0, 0):
            which(n)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(which, [n % 5 for n in range(60)]))
        lines = hosting.lines(name)
        assert any(line.startswith("unloaded ") for line in lines), "two of them fit"
        assert sum(line.startswith("loaded ") for line in lines) >= 6

        unknown = hosting.refused(name, TargetModel="none.tar.gz")
        assert unknown["Error"]["Code"] == "ValidationError" and "none.tar.gz" in unknown["Error"]["Message"], unknown
        assert hosting.refused(name)["Error"]["Code"] == "ValidationError", "one must be named"
        broken = hosting.refused(name, TargetModel="broken.tar.gz")
        assert broken["Error"]["Code"] in ("ValidationError", "ModelError"), broken
        refused = hosting.fails(name, "echo", {"TargetModel": "refused.tar.gz"})
        assert refused["OriginalMessage"] == "this model cannot be loaded", refused
        outside = hosting.refused(name, TargetModel="../secret.tar.gz")
        assert outside["Error"]["Code"] == "ValidationError", outside
        which(1)


def test_a_stream_comes_as_it_is_made(hosting, behaving):
    body = json.dumps({"do": "stream", "parts": ["one", "two", "three"], "waits": True, "type": "text/x-parts"})
    answer = hosting.runtime.invoke_endpoint_with_response_stream(EndpointName=behaving, Body=body)
    assert answer["ContentType"] == "text/x-parts"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    came = (event["PayloadPart"]["Bytes"] for event in answer["Body"])
    assert next(came) == b"one", "the others are not made yet"
    hosting.tell(behaving, "go")
    assert b"".join(came) == b"twothree"


def test_a_stream_that_breaks_or_never_begins(hosting, behaving):
    body = json.dumps({"do": "stream", "parts": ["one", "two"], "breaks": True})
    answer = hosting.runtime.invoke_endpoint_with_response_stream(EndpointName=behaving, Body=body)
    parts = []
    with pytest.raises(EventStreamError) as caught:
        for event in answer["Body"]:
            parts.append(event["PayloadPart"]["Bytes"])
    assert b"".join(parts) == b"onetwo"
    assert caught.value.response["Error"]["Code"] == "ModelStreamError", caught.value
    body = json.dumps({"do": "reply", "status": 500, "text": "no"})
    failed = refusal(hosting.runtime.invoke_endpoint_with_response_stream, EndpointName=behaving, Body=body)
    assert (failed["Error"]["Code"], failed["OriginalStatusCode"]) == ("ModelError", 500)
    # A client that goes in the middle leaves nothing behind.
    body = json.dumps({"do": "stream", "parts": ["x" * 1000] * 50, "pause": 0.05})
    for _ in range(20):
        answer = hosting.runtime.invoke_endpoint_with_response_stream(EndpointName=behaving, Body=body)
        next(iter(answer["Body"]))
        answer["Body"].close()
    assert hosting.tell(behaving, "add", n=1)["n"] == 2


def asynchronous(**client) -> dict:
    output = {"S3OutputPath": f"s3://{BUCKET}/async/out", "S3FailurePath": f"s3://{BUCKET}/async/failed"}
    return {"AsyncInferenceConfig": {"OutputConfig": output, **({"ClientConfig": client} if client else {})}}


def submit(hosting, name: str, do: str, more: dict | None = None, **told) -> dict:
    where = hosting.put(f"async/in/{next(hosting.numbers)}", json.dumps({"do": do, **told}))
    return hosting.runtime.invoke_endpoint_async(EndpointName=name, InputLocation=where, **(more or {}))


def arrived(hosting, uri: str, timeout: float = 60) -> bytes:
    def there():
        try:
            return [hosting.read(uri)]
        except ClientError as e:
            assert e.response["Error"]["Code"] in ("NoSuchKey", "404"), e
            return None

    return until(there, f"{uri} is there", timeout)[0]


def test_requests_by_way_of_s3(hosting, behave_image):
    model = hosting.model(behave_image)
    with hosting.endpoint(model, **asynchronous(MaxConcurrentInvocationsPerInstance=4)) as name:
        answer = submit(hosting, name, "echo", {"ContentType": "text/x-in", "Accept": "text/x-out", "InferenceId": "mine"})
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
        assert answer["InferenceId"] == "mine"
        assert answer["OutputLocation"].startswith(f"s3://{BUCKET}/async/out/"), answer
        assert answer["FailureLocation"].startswith(f"s3://{BUCKET}/async/failed/"), answer
        seen = json.loads(arrived(hosting, answer["OutputLocation"]))
        assert json.loads(seen["body"]) == {"do": "echo"}
        assert (seen["headers"]["content-type"], seen["headers"]["accept"]) == ("text/x-in", "text/x-out")

        many = [submit(hosting, name, "add", n=n) for n in range(40)]
        assert len({m["OutputLocation"] for m in many}) == len({m["InferenceId"] for m in many}) == 40
        assert [json.loads(arrived(hosting, m["OutputLocation"]))["n"] for m in many] == list(range(1, 41))

        failed = submit(hosting, name, "reply", status=500, text="no luck")
        assert "no luck" in arrived(hosting, failed["FailureLocation"]).decode()
        late = submit(hosting, name, "sleep", {"InvocationTimeoutSeconds": 1}, seconds=8)
        assert arrived(hosting, late["FailureLocation"])
        lost = hosting.runtime.invoke_endpoint_async(EndpointName=name, InputLocation=f"s3://{BUCKET}/async/in/none")
        assert arrived(hosting, lost["FailureLocation"])
        for uri in (failed["OutputLocation"], late["OutputLocation"], lost["OutputLocation"]):
            with pytest.raises(ClientError):
                hosting.read(uri)

        direct = hosting.refused(name)
        assert direct["Error"]["Code"] == "ValidationError", direct
    with hosting.behaving(behave_image) as name:
        wrong = refusal(hosting.runtime.invoke_endpoint_async, EndpointName=name, InputLocation=f"s3://{BUCKET}/x")
        assert wrong["Error"]["Code"] == "ValidationError", wrong


def aws(hosting, *words: str) -> str:
    """The AWS command line, which knows only what `belljar env` says."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    own = {"HOME": str(hosting.service.belljar.folder), "AWS_PAGER": ""}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("aws")), *words],
        env={**clean, **hosting.service.environment, **own},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line(hosting, digits_model, tmp_path):
    container = json.dumps({"Image": "digits", "ModelDataUrl": digits_model})
    sagemaker = ("sagemaker", "--output", "json")
    aws(hosting, *sagemaker, "create-model", "--model-name", "cli", "--execution-role-arn", ROLE_ARN,
        "--primary-container", container, "--enable-network-isolation")  # fmt: skip
    variants = "VariantName=v,ModelName=cli,InitialInstanceCount=1,InstanceType=ml.m5.large,InitialVariantWeight=1"
    aws(hosting, *sagemaker, "create-endpoint-config", "--endpoint-config-name", "cli", "--production-variants", variants)
    aws(hosting, *sagemaker, "create-endpoint", "--endpoint-name", "cli", "--endpoint-config-name", "cli")
    try:
        hosting.wait("cli")
        aws(hosting, "sagemaker", "wait", "endpoint-in-service", "--endpoint-name", "cli")
        row = held_out()[0]
        (tmp_path / "row.csv").write_text(",".join(row[1:]))
        said = aws(
            hosting, "sagemaker-runtime", "invoke-endpoint", "--endpoint-name", "cli", "--content-type", "text/csv",
            "--body", f"fileb://{tmp_path}/row.csv", str(tmp_path / "answer"),
        )  # fmt: skip
        assert json.loads(said)["InvokedProductionVariant"] == "v"
        assert (tmp_path / "answer").read_text().strip() == row[0]
        listed = json.loads(aws(hosting, *sagemaker, "list-endpoints", "--name-contains", "cli"))["Endpoints"]
        assert [e["EndpointName"] for e in listed] == ["cli"]
    finally:
        hosting.delete("cli")
    aws(hosting, *sagemaker, "delete-endpoint-config", "--endpoint-config-name", "cli")
    aws(hosting, *sagemaker, "delete-model", "--model-name", "cli")
