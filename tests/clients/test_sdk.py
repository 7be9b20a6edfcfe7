"""Both SageMaker SDKs, unchanged, against a running service.

Every script runs in `belljar exec`, so that nothing that an SDK does can leave this machine. Where
a test is about code that knows only `AWS_ENDPOINT_URL`, it is set there as well.
"""

import json
import shutil
import textwrap
from pathlib import Path

import pytest
from conftest import rootfs
from interpreter import SDK2, SDK3, interpreter

SCRIPTS = Path(__file__).parent / "sdk"
ROLE = "BelljarExecutionRole"

TRAIN = """
    import argparse, json, os, pathlib, socket

    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int)
    chosen = parser.parse_args()
    lines = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "data.txt").read_text().split()
    assert "AWS_ACCESS_KEY_ID" not in os.environ
    try:
        socket.create_connection(("sts.us-east-1.amazonaws.com", 443), timeout=60)
    except OSError as e:
        print("sealed:", type(e).__name__)
    print(f"epochs={chosen.epochs} lines={len(lines)}")
    pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("trained")
"""


GROUPS = """
    import json, os, pathlib, socket, time

    config = json.loads(pathlib.Path("/opt/ml/input/config/resourceconfig.json").read_text())
    own, hosts = config["current_host"], config["hosts"]
    channel = pathlib.Path("/opt/ml/input/data/train")
    files = sorted(f.name for f in channel.iterdir() if f.suffix == ".txt") if channel.exists() else []
    print(f"{own} is {config['current_group_name']} ({config['current_instance_type']}) with {files}", flush=True)
    if own == hosts[0]:
        with socket.create_server(("", 7000)) as server:
            for _ in hosts[1:]:
                peer, _ = server.accept()
                print(f"met {peer.recv(64).decode()} by {config['network_interface_name']}", flush=True)
    else:
        for _ in range(5000):
            try:
                socket.create_connection((hosts[0], 7000)).sendall(own.encode())
                break
            except OSError:
                time.sleep(0.02)
"""


def run(service, sdk: Path, script: str, extra: dict[str, str] | None = None, **given):
    """Runs a script of an SDK in `belljar exec`; answers what it said last, and all that it said."""
    python, packages = interpreter(service, sdk)
    done = service.exec(
        [python, SCRIPTS / script, json.dumps(given)], extra={**packages, **(extra or {})}, timeout=280
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    return json.loads(done.stdout.strip().splitlines()[-1]), said


@pytest.fixture
def source(folder) -> Path:
    path = folder / "source"
    path.mkdir()
    (path / "train.py").write_text(textwrap.dedent(TRAIN))
    return path


@pytest.fixture
def bucket(service) -> str:
    """A bucket with a channel of one text file of three lines."""
    s3 = service.client("s3")
    name = "sdk-data"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="train/data.txt", Body=b"a\nb\nc\n")
    return name


def logged(service, job: str) -> list[str]:
    logs = service.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{job}/"
    )
    return [event["message"] for page in pages for event in page["events"]]


def test_an_unmodified_estimator_in_a_bell_jar(service, sklearn_image, folder):
    """Default bucket, role by name, telemetry: all need STS or S3 at addresses of their own."""
    data = folder / "data"
    data.mkdir()
    found = next(rootfs("sklearn").glob("usr/local/lib/python3*/dist-packages/sklearn/datasets/data/wine_data.csv"))
    shutil.copy(found, data)
    told, said = run(
        service,
        SDK2,
        "estimator.py",
        image=sklearn_image,
        role=ROLE,
        data=str(data),
        hyperparameters={"trees": 20},
    )
    assert told["bucket"] == "sagemaker-us-east-1-123456789012"
    assert told["model"] == f"s3://{told['bucket']}/{told['job']}/output/model.tar.gz"
    assert "rows=178" in said, "fit(logs=True) prints what the container printed"
    assert "Training seconds:" in said
    assert told["described"]["TrainingJobStatus"] == "Completed"
    (metric,) = told["described"]["FinalMetricDataList"]
    assert metric["MetricName"] == "acc" and metric["Value"] >= 0.9
    s3 = service.client("s3")
    assert s3.head_object(Bucket=told["bucket"], Key=f"{told['job']}/output/model.tar.gz")["ContentLength"] > 0


def script_mode(service, image: str, bucket: str, source: Path, **given):
    return run(
        service,
        SDK2,
        "script_mode.py",
        extra={"AWS_ENDPOINT_URL": service.endpoint},
        image=image,
        role=f"arn:aws:iam::123456789012:role/{ROLE}",
        bucket=bucket,
        source=str(source),
        train=f"s3://{bucket}/train/",
        **given,
    )


def test_script_mode_with_an_endpoint_url_alone(service, toolkit_image, bucket, source):
    checkpoints = f"s3://{bucket}/checkpoints/"
    told, said = script_mode(
        service, toolkit_image, bucket, source, hyperparameters={"epochs": 3}, checkpoints=checkpoints
    )
    assert "epochs=3 lines=3" in said
    assert "sealed: " in said
    assert told["described"]["EnableNetworkIsolation"] is True
    assert "epochs=3 lines=3" in logged(service, told["job"])


def test_script_mode_without_isolation(service, toolkit_image, bucket, source):
    """The toolkit in the container fetches the code from S3 by itself, with its role's credentials."""
    told, said = script_mode(service, toolkit_image, bucket, source, hyperparameters={"epochs": 4}, isolated=False)
    assert "epochs=4 lines=3" in said
    assert "sealed: " not in said
    assert told["described"]["EnableNetworkIsolation"] is False
    assert told["described"]["HyperParameters"]["sagemaker_submit_directory"].startswith('"s3://')


def test_groups_of_instances(service, toolkit_image, bucket, folder):
    """A head without data and two workers that share it: each has what is its own, and all a log."""
    source = folder / "source"
    source.mkdir()
    (source / "train.py").write_text(textwrap.dedent(GROUPS))
    service.client("s3").put_object(Bucket=bucket, Key="train/more.txt", Body=b"d\n")
    told, said = run(
        service,
        SDK2,
        "script_mode.py",
        extra={"AWS_ENDPOINT_URL": service.endpoint},
        image=toolkit_image,
        role=f"arn:aws:iam::123456789012:role/{ROLE}",
        bucket=bucket,
        source=str(source),
        train=f"s3://{bucket}/train/",
        train_groups=["workers"],
        groups=[["head", "ml.m5.large", 1], ["workers", "ml.m5.xlarge", 2]],
        hyperparameters={},
    )
    assert told["described"]["TrainingJobStatus"] == "Completed", said[-3000:]
    for line in [
        "algo-1 is head (ml.m5.large) with []",
        "algo-2 is workers (ml.m5.xlarge) with ['data.txt']",
        "algo-3 is workers (ml.m5.xlarge) with ['more.txt']",
    ]:
        assert line in said, said[-3000:]
    assert all(f"met algo-{n} by eth0" in said for n in (2, 3)), said[-3000:]


def test_an_estimator_with_two_instances(service, toolkit_image, bucket, source):
    (source / "train.py").write_text(textwrap.dedent(GROUPS))
    told, said = run(
        service,
        SDK2,
        "script_mode.py",
        image=toolkit_image,
        role=ROLE,
        bucket=bucket,
        source=str(source),
        train=f"s3://{bucket}/train/",
        hyperparameters={},
        instances=2,
    )
    assert told["described"]["ResourceConfig"]["InstanceCount"] == 2
    for host in ("algo-1", "algo-2"):
        assert f"{host} is homogeneousCluster (ml.m5.large) with " in said, said[-3000:]
    assert "met algo-2 by eth0" in said, said[-3000:]


def test_model_trainer_with_two_instances(service, toolkit_image, bucket, folder):
    source = folder / "source"
    source.mkdir()
    (source / "train.py").write_text(textwrap.dedent(GROUPS))
    told, said = run(
        service,
        SDK3,
        "model_trainer.py",
        image=toolkit_image,
        role=ROLE,
        source=str(source),
        train=f"s3://{bucket}/train/",
        hyperparameters={},
        instances=2,
    )
    assert told["status"] == "Completed", said[-3000:]
    lines = logged(service, told["job"])
    for host in ("algo-1", "algo-2"):
        assert any(f"{host} is homogeneousCluster" in line for line in lines), lines
        assert f"{told['job']}/{host}-" in said and f"{host} is homogeneousCluster" in said, said[-3000:]


def test_model_trainer_with_source_code(service, toolkit_image, bucket, source):
    told, said = run(
        service,
        SDK3,
        "model_trainer.py",
        image=toolkit_image,
        role=ROLE,
        source=str(source),
        train=f"s3://{bucket}/train/",
        hyperparameters={"epochs": 4},
    )
    assert told["status"] == "Completed"
    assert any("epochs=4 lines=3" in line for line in logged(service, told["job"]))
    assert told["model"].endswith(f"/{told['job']}/output/model.tar.gz")
