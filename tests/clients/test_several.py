"""Training that is really distributed: instances that need each other to come to one model. On each
of them it is the same to the bit, over links in clear and encrypted ones."""

import csv
import json
import tarfile
from pathlib import Path

import pytest

from conftest import ROOT, may_encrypt, rootfs

PROGRAMS = ROOT / "tests/clients/several"
FILES = 7
"""Of a sharded channel: not a multiple of any number of instances here."""


def cases(most: int = 3) -> list:
    return [pytest.param(n, e, id=f"{n}-{'encrypted' if e else 'clear'}") for n in range(2, most + 1) for e in (False, True)]


@pytest.fixture
def data(folder) -> Path:
    """scikit-learn's breast cancer data, as a channel of several files."""
    sets = "usr/local/lib/python3*/dist-packages/sklearn/datasets/data/breast_cancer.csv"
    rows = list(csv.reader(next(rootfs("sklearn").glob(sets)).open(newline="")))[1:]
    channel = folder / "train"
    channel.mkdir()
    for part in range(FILES):
        lines = "\n".join(",".join(row) for row in rows[part::FILES])
        (channel / f"part-{part}.csv").write_text(lines + "\n")
    return channel


def run(belljar, image, folder, program: str, count: int, encrypted: bool, inputs: dict, *extra):
    if encrypted and not may_encrypt(belljar):
        pytest.skip("this user may not open /dev/net/tun")
    code = folder / "code"
    if not code.exists():
        code.mkdir()
        (code / program).write_bytes((PROGRAMS / program).read_bytes())
    options = ["--instances", str(count)] if count > 1 else []
    options += ["--encrypt-inter-container-traffic"] if encrypted else []
    options += ["--entrypoint", "/usr/bin/python3", "--argument", f"/opt/ml/input/data/code/{program}"]
    return belljar.train(image, folder / "output", inputs={"code": code, **inputs}, extra=(*options, *extra))


def lines_of(job, host: str) -> list[str]:
    told = (event["told"] for event in job.of("instance") if event["host"] == host)
    return [event["line"] for event in told if event["event"] == "log"]


def models(job, count: int) -> set[str]:
    """The digests that the instances printed; each has printed one."""
    found = [[line for line in lines_of(job, f"algo-{n}") if line.startswith("model ")] for n in range(1, count + 1)]
    assert all(len(lines) == 1 for lines in found), (found, job.stderr)
    return {lines[0] for lines in found}


@pytest.mark.parametrize(("count", "encrypted"), cases())
def test_all_reduce_by_plain_sockets(belljar, sklearn_image, folder, data, count, encrypted):
    job = run(belljar, sklearn_image, folder, "allreduce.py", count, encrypted, {"train": data}, "--shard", "train").completed()
    assert len(models(job, count)) == 1
    printed = {n: lines_of(job, f"algo-{n}") for n in range(1, count + 1)}
    # Each had its part of the files, and together they had all.
    parts = [line for lines in printed.values() for line in lines if line.startswith("files ")]
    files = [json.loads(line.removeprefix("files ").replace("'", '"')) for line in parts]
    assert sorted(name for names in files for name in names) == [f"part-{n}.csv" for n in range(FILES)]
    assert max(map(len, files)) - min(map(len, files)) <= 1
    (accuracy,) = {line for lines in printed.values() for line in lines if line.startswith("rows=")}
    assert accuracy.startswith("rows=569 ") and float(accuracy.split("acc=")[1]) > 0.85
    assert job.report["attempts"]["targets"] == []
    with tarfile.open(job.output / "output/output.tar.gz") as tar:
        assert sorted(m.name.removeprefix("./") for m in tar if m.isfile()) == [f"algo-{n}" for n in range(1, count + 1)]


def test_several_come_to_what_one_comes_to(belljar, sklearn_image, folder, data):
    weights = []
    for count in (1, 3):
        job = run(belljar, sklearn_image, folder, "allreduce.py", count, False, {"train": data}, "--shard", "train")
        with tarfile.open(job.completed().output / "output/model.tar.gz") as tar:
            weights.append(json.load(tar.extractfile("weights.json")))
    assert weights[0] == pytest.approx(weights[1], rel=1e-9)


@pytest.mark.parametrize(("count", "encrypted"), cases())
def test_xgboosts_collective(belljar, sklearn_image, folder, data, count, encrypted):
    job = run(belljar, sklearn_image, folder, "boost.py", count, encrypted, {"train": data}, "--shard", "train").completed()
    assert len(models(job, count)) == 1
    rows = [int(line.split()[1]) for n in range(1, count + 1) for line in lines_of(job, f"algo-{n}") if line.startswith("rows ")]
    assert sum(rows) == 569 and len(rows) == count
    assert job.members("model.tar.gz") == ["model.json"]


@pytest.mark.parametrize(("count", "encrypted"), cases())
def test_torch_over_gloo(belljar, folder, count, encrypted, torch_image):
    job = run(belljar, torch_image, folder, "ddp.py", count, encrypted, {}).completed()
    assert len(models(job, count)) == 1
    assert job.members("model.tar.gz") == ["weights.bin"]
