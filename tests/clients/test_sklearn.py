"""A real Python container: the distribution's Python with scikit-learn's wheels."""

import shutil

import pytest

from conftest import rootfs

METRIC = {"acc": "acc=([0-9.]+)"}


def channel(folder, name: str):
    """A channel with one of the data sets that scikit-learn ships."""
    data = next(rootfs("sklearn").glob(f"usr/local/lib/python3*/dist-packages/sklearn/datasets/data/{name}"))
    folder.mkdir()
    shutil.copy(data, folder)
    return folder


@pytest.mark.parametrize(
    ("name", "rows", "least"), [("wine_data.csv", 178, 0.9), ("breast_cancer.csv", 569, 0.9)]
)
def test_it_trains(belljar, sklearn_image, folder, name, rows, least):
    job = belljar.train(
        sklearn_image,
        folder / "output",
        inputs={"train": channel(folder / "train", name)},
        hyperparameters={"trees": 20},
        metrics=METRIC,
    ).completed()
    assert f"rows={rows}" in job.log
    assert job.metrics["acc"] >= least
    assert job.members("model.tar.gz") == ["model.joblib"]
    staged = {c["channel"]: c["files"] for c in job.report["inputs"]}
    assert [file["path"] for file in staged["train"]] == [name]


def test_an_exception_becomes_the_failure_reason(belljar, sklearn_image, folder):
    job = belljar.train(
        sklearn_image,
        folder / "output",
        inputs={"train": channel(folder / "train", "wine_data.csv")},
        hyperparameters={"trees": 0},
    )
    assert job.exit_code == 1
    assert "ValueError: trees=0 is not from 1 to 1000" in job.report["outcome"]["reason"]
