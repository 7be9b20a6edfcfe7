"""Real servers: gunicorn around scikit-learn, and SageMaker's inference toolkit with its model
server in Java. What they predict is what scikit-learn itself predicts."""

import csv
import dataclasses
import io
import json
import os
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import rootfs
from hosting import BUCKET, ROLE_ARN, TYPE, archive, until, variant


@dataclasses.dataclass
class Trained:
    """A model, rows that it never learnt from, and what scikit-learn says of them."""

    uri: str
    rows: list[list[float]]
    classes: list[int]

    @property
    def csv(self) -> str:
        return "\n".join(",".join(map(str, row)) for row in self.rows)


# As the image's `train` splits them, with scikit-learn's own answers.
PREDICT = """
import json, sys, joblib
from sklearn.model_selection import train_test_split
x, y = json.load(sys.stdin)
_, held_out, _, _ = train_test_split(x, y, random_state=0, stratify=y)
model = joblib.load(sys.argv[1])
print(json.dumps([held_out, [int(c) for c in model.predict(held_out)]]))
"""


def in_image(root: Path, *words: str, text: str) -> str:
    """The image's own Python, through its own loader, as `tests/images/python.sh` starts it."""
    loader = next(root.glob("lib*/ld-linux-*.so.*"))
    (packages,) = root.glob("usr/local/lib/python3*/dist-packages")
    libraries = ":".join(str(path) for path in (*root.glob("usr/lib/*-linux-gnu"), root / "usr/lib"))
    env = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(loader), "--library-path", libraries, str(root / "usr/bin/python3"), *words]
    done = subprocess.run(command, input=text, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def trained(hosting, image: str, name: str, job: str) -> Trained:
    """A job of the service trains one of scikit-learn's own data sets."""
    root = rootfs("sklearn")
    data = next(root.glob(f"usr/local/lib/python3*/dist-packages/sklearn/datasets/data/{name}"))
    where = hosting.put(f"{job}/data/{name}", data.read_bytes())
    source = {"S3DataType": "S3Prefix", "S3DataDistributionType": "FullyReplicated", "S3Uri": where}
    hosting.sagemaker.create_training_job(
        TrainingJobName=job,
        RoleArn=ROLE_ARN,
        AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File"},
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        HyperParameters={"trees": "20"},
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
        ResourceConfig={"InstanceType": TYPE, "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        EnableNetworkIsolation=True,
    )
    seen = hosting.service.wait(job)
    assert seen["TrainingJobStatus"] == "Completed", seen
    uri = seen["ModelArtifacts"]["S3ModelArtifacts"]
    folder = hosting.service.belljar.new_folder("model")
    with tarfile.open(fileobj=io.BytesIO(hosting.read(uri))) as tar:
        # A filter that early releases of Python 3.11, such as Debian 12's, have not got.
        careful = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        tar.extractall(folder, **careful)
    # scikit-learn's first line: rows, columns, names of classes.
    lines = list(csv.reader(io.StringIO(data.read_text())))[1:]
    numbers = [[float(cell) for cell in line] for line in lines]
    table = [[row[:-1] for row in numbers], [int(row[-1]) for row in numbers]]
    rows, classes = json.loads(in_image(root, "-c", PREDICT, str(folder / "model.joblib"), text=json.dumps(table)))
    return Trained(uri, rows, classes)


@pytest.fixture(scope="module")
def wine(hosting, sklearn_image) -> Trained:
    return trained(hosting, sklearn_image, "wine_data.csv", "serving-wine")


@pytest.fixture(scope="module")
def cancer(hosting, sklearn_image) -> Trained:
    return trained(hosting, sklearn_image, "breast_cancer.csv", "serving-cancer")


def test_gunicorn(hosting, sklearn_image, wine):
    with hosting.endpoint(variant(hosting.model(sklearn_image, wine.uri), count=2)) as name:
        answer = hosting.invoke(name, wine.csv, ContentType="text/csv", Accept="text/csv")
        assert [int(line) for line in answer["Body"].split()] == wine.classes
        body = json.dumps({"instances": wine.rows})
        answer = hosting.invoke(name, body, ContentType="application/json", Accept="application/json")
        assert json.loads(answer["Body"]) == {"predictions": wine.classes}

        def one(n: int) -> bool:
            row, found = wine.rows[n % len(wine.rows)], wine.classes[n % len(wine.rows)]
            answer = hosting.invoke(name, ",".join(map(str, row)), ContentType="text/csv")
            return int(answer["Body"]) == found

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(one, range(600)))
        refused = hosting.refused(name, "1,2,3", ContentType="text/csv")
        assert refused["OriginalStatusCode"] == 400
        assert refused["OriginalMessage"] == "body: rows of 13 numbers are wanted\n"
        until(lambda: any("Using worker: gthread" in line for line in hosting.lines(name)), "it logs")
    until(lambda: any("Shutting down: Master" in line for line in hosting.lines(name)), "it heard TERM")


def test_the_inference_toolkit(hosting, inference_image, cancer):
    with hosting.endpoint(variant(hosting.model(inference_image, cancer.uri))) as name:
        answer = hosting.invoke(name, cancer.csv, ContentType="text/csv", Accept="application/json")
        assert json.loads(answer["Body"]) == cancer.classes
        assert answer["ContentType"] == "application/json"
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(lambda row: hosting.invoke(name, json.dumps([row]), ContentType="application/json"), cancer.rows)
            assert [json.loads(answer["Body"])[0] for answer in found] == cancer.classes
        # Its whole message is in the status line too, and a trace in the body.
        refused = hosting.refused(name, b"x", ContentType="image/png")
        assert refused["OriginalStatusCode"] == 500
        assert "Content type image/png is not supported" in refused["OriginalMessage"]


SCRIPT = """
import json, os, pathlib, joblib, socket

def model_fn(folder):
    return joblib.load(pathlib.Path(folder, "model.joblib"))

def transform_fn(model, body, content_type, accept):
    try:
        socket.create_connection(("telemetry.example.com", 443), timeout=5)
        sealed = False
    except OSError:
        sealed = True
    found = model.predict(json.loads(body))
    return json.dumps({"own": [int(c) for c in found], "sealed": sealed}), accept
"""


def test_a_script_in_the_model(hosting, inference_image, wine):
    """Script mode under isolation: the code is in the model, as the SDK packs it."""
    with tarfile.open(fileobj=io.BytesIO(hosting.read(wine.uri))) as tar:
        files = {m.name.removeprefix("./"): tar.extractfile(m).read() for m in tar if m.isfile()}
    data = hosting.put("script/model.tar.gz", archive({**files, "code/inference.py": SCRIPT}))
    environment = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
    with hosting.endpoint(hosting.model(inference_image, data, environment)) as name:
        answer = hosting.invoke(name, json.dumps(wine.rows), ContentType="application/json", Accept="application/json")
        assert json.loads(answer["Body"]) == {"own": wine.classes, "sealed": True}


def test_many_models_in_the_model_server(hosting, inference_image, wine, cancer):
    prefix = f"toolkit-models-{os.getpid()}/"
    for key, model in (("wine.tar.gz", wine), ("deep/cancer.tar.gz", cancer)):
        hosting.put(prefix + key, hosting.read(model.uri))
    hosting.put(f"{prefix}broken.tar.gz", archive({"model.joblib": "no model"}))
    model = hosting.model(inference_image, f"s3://{BUCKET}/{prefix}", Mode="MultiModel")
    with hosting.endpoint(model) as name:
        for _ in range(2):
            for key, of in (("wine.tar.gz", wine), ("deep/cancer.tar.gz", cancer)):
                more = {"ContentType": "text/csv", "Accept": "application/json", "TargetModel": key}
                assert json.loads(hosting.invoke(name, of.csv, **more)["Body"]) == of.classes
        assert hosting.refused(name, "1", TargetModel="none.tar.gz")["Error"]["Code"] == "ValidationError"
        assert hosting.refused(name, "1", TargetModel="broken.tar.gz")["Error"]["Code"] == "ModelError"


def test_a_pipeline_of_real_servers(hosting, sklearn_image, wine):
    """What the first answers is no row, and the second says so."""
    first = {"Image": sklearn_image, "ModelDataUrl": wine.uri}
    second = {"Image": sklearn_image, "ModelDataUrl": wine.uri}
    with hosting.endpoint(hosting.model_of(Containers=[first, second])) as name:
        refused = hosting.refused(name, wine.csv, ContentType="text/csv")
        assert "from container-2 with message \"body: rows of 13 numbers are wanted" in refused["Error"]["Message"], refused
