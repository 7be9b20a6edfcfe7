"""The life of endpoints where requests about them cross, and what models can be made of."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from hosting import BUCKET, archive, refusal, until, variant


@pytest.fixture(scope="module")
def model(hosting, behave_image) -> str:
    return hosting.model(behave_image)


@pytest.fixture(scope="module")
def slow(hosting, behave_image) -> str:
    """A model that is not up before its test has deleted it."""
    return hosting.model(behave_image, environment={"SLOW_START": "600"})


def said(call, **arguments) -> tuple[str, str]:
    error = refusal(call, **arguments)["Error"]
    return error["Code"], error["Message"]


def test_it_can_be_deleted_before_it_is_there(hosting, slow):
    name = hosting.create(hosting.config(variant(slow, count=2)))
    assert hosting.describe(name)["EndpointStatus"] == "Creating"
    assert hosting.refused(name)["Error"]["Code"] == "ValidationError", "it does not answer yet"
    config = hosting.config(slow)
    code, text = said(hosting.sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=config)
    assert code == "ValidationException" and text.startswith("Cannot update in-progress endpoint"), text
    # From when it hears TERM; the first process of a container does not before it asks for it.
    until(lambda: sum(line.startswith("born ") for line in hosting.lines(name)) == 2, "both containers run")
    servers = hosting.servers(name)
    began = time.monotonic()
    hosting.delete(name)
    # KILL comes after 30 s.
    assert time.monotonic() - began < 29
    until(lambda: not any(hosting.wardens(s["id"]) for s in servers), "nothing of it is left")


def test_it_can_be_deleted_while_it_is_updated(hosting, model, slow):
    name = hosting.create(hosting.config(model))
    hosting.wait(name)
    hosting.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=hosting.config(slow))
    second = hosting.config(slow)
    code, text = said(hosting.sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=second)
    assert code == "ValidationException" and text.startswith("Cannot update in-progress endpoint"), text
    shares = [{"VariantName": "AllTraffic", "DesiredWeight": 2}]
    code, text = said(
        hosting.sagemaker.update_endpoint_weights_and_capacities, EndpointName=name, DesiredWeightsAndCapacities=shares
    )
    assert code == "ValidationException" and text.startswith("Cannot update in-progress endpoint"), text
    assert hosting.tell(name, "add", n=1)["n"] == 2, "the old fleet answers"
    begun = hosting.servers(name)
    hosting.delete(name)
    until(lambda: not any(hosting.wardens(s["id"]) for s in begun), "nothing of either fleet is left")


def test_a_name_can_be_used_again(hosting, model):
    births = set()
    for _ in range(3):
        with hosting.endpoint(model, name="again-and-again") as name:
            births.add(hosting.tell(name, "count")["born"])
    assert len(births) == 3
    assert len(hosting.evidence("again-and-again")) == 3, "what is stated of each stays"


def test_it_keeps_what_it_was_made_of(hosting, behave_image):
    """An endpoint has its model and configuration as they were: they can be deleted behind it."""
    model = hosting.model(behave_image, environment={"KEPT": "yes"})
    config = hosting.config(model)
    name = hosting.create(config)
    hosting.wait(name)
    try:
        hosting.sagemaker.delete_endpoint_config(EndpointConfigName=config)
        hosting.sagemaker.delete_model(ModelName=model)
        (server,) = hosting.servers(name)
        hosting.kill(server["id"])
        until(lambda: server["id"] not in {s["id"] for s in hosting.servers(name)}, "it is replaced")

        def answers():
            try:
                return hosting.tell(name, "echo")["environment"]["KEPT"] == "yes"
            except ClientError:
                return False

        until(answers, "the new one is what the old one was")
    finally:
        hosting.delete(name)


def test_an_update_may_keep_weights_and_counts(hosting, behave_image):
    one, two = hosting.model(behave_image), hosting.model(behave_image)

    def both() -> list[dict]:
        return [variant(one, "one", weight=1), variant(two, "two", weight=1)]

    def shown(name: str) -> dict:
        seen = hosting.wait(name)["ProductionVariants"]
        return {v["VariantName"]: (v["CurrentInstanceCount"], v["CurrentWeight"]) for v in seen}

    with hosting.endpoint(*both()) as name:
        shares = [{"VariantName": "one", "DesiredWeight": 5, "DesiredInstanceCount": 2}]
        hosting.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=shares)
        assert shown(name) == {"one": (2, 5), "two": (1, 1)}
        update = hosting.sagemaker.update_endpoint
        update(EndpointName=name, EndpointConfigName=hosting.config(*both()), RetainAllVariantProperties=True)
        assert shown(name) == {"one": (2, 5), "two": (1, 1)}
        update(
            EndpointName=name,
            EndpointConfigName=hosting.config(*both()),
            RetainAllVariantProperties=True,
            ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}],
        )
        assert shown(name) == {"one": (2, 1), "two": (1, 1)}
        update(EndpointName=name, EndpointConfigName=hosting.config(*both()))
        assert shown(name) == {"one": (1, 1), "two": (1, 1)}


def test_the_old_fleet_may_stay_a_while(hosting, model):
    with hosting.endpoint(model) as name:
        (old,) = hosting.servers(name)
        policy = {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}, "TerminationWaitInSeconds": 4}
        hosting.sagemaker.update_endpoint(
            EndpointName=name, EndpointConfigName=hosting.config(model), DeploymentConfig={"BlueGreenUpdatePolicy": policy}
        )
        over = hosting.wait(name)["LastModifiedTime"].timestamp()
        # Seen from its end: however late this looks, it does not take the old one to have run longer.
        until(lambda: not hosting.wardens(old["id"]), "it has ended", 60)
        ran = time.time() - over
        assert ran > 3.5, f"it ran {ran} s"
        until(lambda: old["id"] not in {s["id"] for s in hosting.servers(name)}, "it has left", 60)


def test_many_come_and_go_at_once(hosting, model):
    """Twelve endpoints, made and deleted by as many clients."""

    def one(_: int) -> str:
        with hosting.endpoint(model) as name:
            return hosting.tell(name, "count")["born"]

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(one, range(12)))) == 12


FILES = {"one": "1", "deep/two": "2"}


def test_what_a_model_can_be_made_of(hosting, behave_image):
    """An archive, every object below a prefix, or one object as it is."""
    for name, content in FILES.items():
        hosting.put(f"made/prefix/{name}", content)
    hosting.put("made/archive.tar.gz", archive(FILES))
    sources = [
        ("S3Prefix", "None", "made/prefix/", FILES),
        ("S3Object", "Gzip", "made/archive.tar.gz", FILES),
        ("S3Object", "None", "made/prefix/one", {"one": "1"}),
    ]
    for kind, compression, key, files in sources:
        where = {"S3Uri": f"s3://{BUCKET}/{key}", "S3DataType": kind, "CompressionType": compression}
        model = hosting.model(behave_image, ModelDataSource={"S3DataSource": where})
        with hosting.endpoint(model) as name:
            assert hosting.tell(name, "files", folder="/opt/ml/model") == files, (kind, compression)
    model = hosting.model(behave_image, f"s3://{BUCKET}/made/archive.tar.gz")
    with hosting.endpoint(model) as name:
        assert hosting.tell(name, "files", folder="/opt/ml/model") == FILES
        (file,) = hosting.evidence(name)
        assert "made/archive.tar.gz" in hosting.service.belljar.must("evidence", "show", file)


@pytest.mark.parametrize(
    "body",
    [b"no archive at all", archive({"x": os.urandom(100_000)})[:50_000], b""],
    ids=["text", "half", "empty"],
)
def test_a_model_that_is_none_fails_its_endpoint(hosting, behave_image, body):
    uri = hosting.put("made/broken.tar.gz", body)
    name = hosting.create(hosting.config(hosting.model(behave_image, uri)))
    try:
        seen = hosting.wait(name, "Failed")
        assert "made/broken.tar.gz" in seen["FailureReason"], seen
    finally:
        hosting.delete(name)


def test_a_long_pipeline(hosting, behave_image):
    containers = [{"Image": behave_image} for _ in range(15)]
    with hosting.endpoint(hosting.model_of(Containers=containers), timeout=120) as name:
        answer = hosting.tell(name, "add", n=0)
        assert answer["n"] == 15
        (server,) = hosting.servers(name)
        assert server["containers"] == 15
        # One of them dies, and the instance with it.
        third = json.dumps({"do": "die"})
        second = json.dumps({"do": "reply", "text": third})
        first = json.dumps({"do": "reply", "text": second})
        failed = hosting.refused(name, first)
        assert "from container-3 with" in failed["Error"]["Message"], failed
        until(lambda: server["id"] not in {s["id"] for s in hosting.servers(name)}, "all are replaced", 60)
        until(lambda: len(hosting.wardens(server["id"])) == 0, "none of the old ones is left")

        def answers():
            try:
                return hosting.tell(name, "add", n=0)["n"] == 15
            except ClientError:
                return False

        until(answers, "it answers again", 90)
