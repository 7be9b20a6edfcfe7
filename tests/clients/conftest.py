"""What the client tests share: a Belljar with a state of its own, and jobs run with `--json`."""

import dataclasses
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass
class Job:
    """A job that has ended."""

    exit_code: int
    events: list[dict]
    stderr: str
    output: Path
    """The folder `OUTPUT/JOB`."""

    def of(self, kind: str) -> list[dict]:
        return [event for event in self.events if event["event"] == kind]

    @property
    def report(self) -> dict:
        reports = self.of("report")
        assert len(reports) == 1, f"one report was expected: {reports}\n{self.stderr}"
        return reports[0]

    @property
    def log(self) -> list[str]:
        return [event["line"] for event in self.of("log")]

    @property
    def metrics(self) -> dict[str, float]:
        return {datum["name"]: datum["value"] for datum in self.report["metrics"]}

    def members(self, archive: str) -> list[str]:
        """The files in `model.tar.gz` or `output.tar.gz`."""
        with tarfile.open(self.output / "output" / archive) as tar:
            return sorted(m.name.removeprefix("./") for m in tar if m.isfile())

    def completed(self) -> "Job":
        explain = "\n".join([*self.log[-40:], self.stderr])
        assert self.exit_code == 0, f"exit code {self.exit_code}\n{explain}"
        assert self.report["outcome"] == {"status": "completed"}, explain
        return self


class Belljar:
    """The command, with a state folder of its own."""

    def __init__(self, binary: Path, state: Path):
        self.binary = binary
        self.state = state

    def run(self, *args, timeout: float = 120) -> subprocess.CompletedProcess:
        command = [self.binary, "--state", self.state, *args]
        return subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=timeout
        )

    def must(self, *args, timeout: float = 120) -> str:
        done = self.run(*args, timeout=timeout)
        assert done.returncode == 0, f"{args} exited {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def import_image(self, rootfs: Path, tag: str) -> str:
        self.must("image", "import", rootfs, "--tag", tag)
        return tag

    def train(
        self,
        image: str,
        output: Path,
        *,
        name: str = "job",
        inputs: dict[str, Path] | None = None,
        hyperparameters: dict[str, object] | None = None,
        metrics: dict[str, str] | None = None,
        extra: tuple = (),
        timeout: float = 120,
    ) -> Job:
        args = ["train", "--json", "--image", image, "--output", output, "--job-name", name]
        for option, pairs in [
            ("--input", inputs),
            ("--hyperparameter", hyperparameters),
            ("--metric", metrics),
        ]:
            for key, value in (pairs or {}).items():
                args += [option, f"{key}={value}"]
        done = self.run(*args, *extra, timeout=timeout)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return Job(done.returncode, events, done.stderr, output / name)


def program(variable: str, *default: str) -> Path:
    """A program that `make build` made."""
    given = os.environ.get(variable)
    found = [Path(given)] if given else sorted(ROOT.glob("/".join(default)))
    if not found or not found[0].exists():
        pytest.fail(f"{found or '/'.join(default)} is missing: run `make build`, or set {variable}")
    return found[0].absolute()


def rootfs(name: str) -> Path:
    """A root file system that `make images` assembled."""
    images = Path(os.environ.get("BELLJAR_IMAGES", ROOT / "target/images"))
    path = (images / f"{name}-rootfs").resolve()
    if not path.is_dir():
        pytest.fail(f"{path} is missing: run `make images`")
    return path


@pytest.fixture(scope="session")
def belljar(tmp_path_factory) -> Belljar:
    binary = program("BELLJAR_BIN", "target/release/belljar")
    return Belljar(binary, tmp_path_factory.mktemp("state"))


def static_image(belljar: Belljar, folder: Path, binary: Path, tag: str) -> str:
    """An image of one static program, as `train`."""
    (folder / "usr/bin").mkdir(parents=True)
    shutil.copy(binary, folder / "usr/bin/train")
    return belljar.import_image(folder, tag)


@pytest.fixture(scope="session")
def digits_image(belljar, tmp_path_factory) -> str:
    binary = program("BELLJAR_DIGITS", "target/static/*/release/digits")
    return static_image(belljar, tmp_path_factory.mktemp("digits"), binary, "digits")


@pytest.fixture(scope="session")
def probe_image(belljar, tmp_path_factory) -> str:
    binary = program("BELLJAR_PROBE", "target/static/*/release/probe")
    return static_image(belljar, tmp_path_factory.mktemp("probe"), binary, "probe")


@pytest.fixture(scope="session")
def digits_job(belljar, digits_image, tmp_path_factory) -> Job:
    """The example, trained once for all tests that look at what came of it."""
    data = tmp_path_factory.mktemp("digits-data")
    for channel in ("train", "test"):
        (data / channel).mkdir()
        shutil.copy(ROOT / f"examples/digits/data/{channel}.csv", data / channel)
    return belljar.train(
        digits_image,
        tmp_path_factory.mktemp("digits-output"),
        name="digits",
        inputs={"train": data / "train", "test": data / "test"},
        hyperparameters={"trees": 20},
        metrics={"accuracy": "accuracy=([0-9.]+)"},
    )


@pytest.fixture(scope="session", autouse=True)
def evidence(request) -> None:
    """Gives test_evidence.py, which knows nothing of this file, the evidence of a real job."""
    names = ("BELLJAR_EVIDENCE", "BELLJAR_PUBLIC_KEY")
    if any(os.environ.get(name) for name in names):
        return
    if not any(item.path.name == "test_evidence.py" for item in request.session.items):
        return
    job = request.getfixturevalue("digits_job").completed()
    belljar = request.getfixturevalue("belljar")
    os.environ["BELLJAR_EVIDENCE"] = str(job.output / "evidence/algo-1.intoto.json")
    os.environ["BELLJAR_PUBLIC_KEY"] = str(belljar.state / "keys/evidence.pub.pem")
    request.addfinalizer(lambda: [os.environ.pop(name, None) for name in names])
