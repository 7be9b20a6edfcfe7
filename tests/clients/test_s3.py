"""Staging from and to S3, against a real server of the protocol (moto) on the loopback address."""

import io
import tarfile

import boto3
import pytest
from conftest import ROOT
from moto.server import ThreadedMotoServer

BUCKET = "belljar-test"
SECRET = "a-secret-that-must-not-show"


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(server, belljar, monkeypatch):
    keys = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    belljar.environment = {"AWS_ENDPOINT_URL_S3": server, "AWS_REGION": "us-east-1", **keys}
    client = boto3.client("s3", endpoint_url=server, region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    yield client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for item in page.get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=item["Key"])
    client.delete_bucket(Bucket=BUCKET)
    belljar.environment = {}


def test_channels_come_from_s3_and_artifacts_go_there(belljar, digits_image, s3):
    for name in ("train", "test"):
        s3.upload_file(str(ROOT / f"examples/digits/data/{name}.csv"), BUCKET, f"data/{name}/{name}.csv")
    done = belljar.train(
        digits_image,
        f"s3://{BUCKET}/runs",
        inputs={n: f"s3://{BUCKET}/data/{n}" for n in ("train", "test")},
        metrics={"accuracy": "accuracy=([0-9.]+)"},
    ).completed()
    assert done.metrics["accuracy"] > 0.95
    staged = {c["channel"]: [f["path"] for f in c["files"]] for c in done.report["inputs"]}
    assert staged == {"train": ["train.csv"], "test": ["test.csv"]}
    job = done.report["job"]
    keys = {o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET, Prefix="runs/")["Contents"]}
    assert keys == {
        f"runs/{job}/output/model.tar.gz",
        f"runs/{job}/output/output.tar.gz",
        f"runs/{job}/evidence/algo-1.intoto.json",
    }
    model = s3.get_object(Bucket=BUCKET, Key=f"runs/{job}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(model)) as tar:
        assert "model.json" in [name.removeprefix("./") for name in tar.getnames()]
    assert SECRET not in done.stderr + "".join(map(str, done.events))


def test_a_missing_prefix_fails_before_anything_starts(belljar, digits_image, s3, folder):
    done = belljar.train(
        digits_image, folder, inputs={"train": f"s3://{BUCKET}/nothing/"}
    )
    assert done.exit_code == 1
    assert "nothing" in done.report["outcome"]["reason"], done.report["outcome"]
    assert done.report["outcome"]["reason"].startswith("ClientError"), done.report["outcome"]
    assert done.of("sealed") == []


def test_an_unreachable_endpoint_fails_with_what_to_do(belljar, digits_image, s3, folder):
    belljar.environment["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:9"
    done = belljar.train(
        digits_image, folder, inputs={"train": f"s3://{BUCKET}/data"}
    )
    assert done.exit_code == 1
    assert done.report["outcome"]["hint"], done.report["outcome"]
