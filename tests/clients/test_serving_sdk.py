"""Both SageMaker SDKs, unchanged, deploy what a job trained and ask it. Every script runs in
`belljar exec`; that none tried to reach anything else is held too."""

import json

import pytest
from hosting import ROLE_ARN
from interpreter import SDK2, SDK3
from test_sdk import run
from test_serving_sklearn import trained

ROLE = ROLE_ARN.rsplit("/", 1)[1]


@pytest.fixture(scope="module")
def wine(hosting, sklearn_image):
    return trained(hosting, sklearn_image, "wine_data.csv", "sdk-wine")


def asked(wine) -> dict:
    return {"data": wine.uri, "role": ROLE, "rows": wine.rows}


@pytest.fixture
def name(hosting):
    """An endpoint's, of which nothing is left."""
    name = hosting.name("sdk")
    yield name
    hosting.delete(name)


def kept_inside(said: str) -> None:
    assert "tried to reach" not in said, said[-3000:]


def test_a_predictor(service, sklearn_image, wine, name):
    told, said = run(service, SDK2, "predictor.py", image=sklearn_image, name=name, **asked(wine))
    assert told["described"]["EndpointStatus"] == "InService"
    assert told["described"]["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert told["updated"]["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert told["predicted"]["predictions"] == told["again"]["predictions"] == wine.classes
    assert told["chosen"]["predictions"] == wine.classes[:1]
    assert "Received client error (400) from primary with message" in told["refused"]
    kept_inside(said)


def test_many_models(service, inference_image, wine, name):
    """In SageMaker's own model server."""
    told, said = run(service, SDK2, "multi_data_model.py", image=inference_image, name=name, **asked(wine))
    assert told["listed"] == ["deep/two.tar.gz", "one.tar.gz"]
    for path in told["listed"]:
        assert [int(cell) for row in told["predicted"][path] for cell in row] == wine.classes
    assert "none.tar.gz" in told["refused"]
    kept_inside(said)


def test_an_asynchronous_predictor(service, sklearn_image, wine, name):
    told, said = run(service, SDK2, "async_predictor.py", image=sklearn_image, name=name, **asked(wine))
    assert json.loads(told["predicted"])["predictions"] == wine.classes
    assert json.loads(told["first"])["predictions"] == wine.classes[:3]
    assert told["described"]["AsyncInferenceConfig"]["ClientConfig"]["MaxConcurrentInvocationsPerInstance"] == 2
    assert told["output"].startswith("s3://sagemaker-us-east-1-123456789012/async-endpoint-outputs/")
    assert "Received client error (400) from primary" in told["refused"], told
    kept_inside(said)


def test_a_model_builder(service, hosting, sklearn_image, wine, name, folder):
    given = {"image": sklearn_image, "name": name, "folder": str(folder / "builder"), **asked(wine)}
    told, said = run(service, SDK3, "model_builder.py", **given)
    assert told["described"] == {"status": "InService", "count": 2, "isolated": True}
    assert told["predicted"]["predictions"] == wine.classes
    assert told["variant"] == "AllTraffic"
    assert not hosting.exists(name)
    kept_inside(said)
