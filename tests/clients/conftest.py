"""What the client tests share: a Belljar with a state of its own, and jobs run with `--json`.

Every test is run as each user that this process can be: both as root and as an ordinary user if
it is root, as itself if not. `BELLJAR_TEST_AS` (root, user) takes one of them: `tests/run.sh` runs
both halves beside each other, because most of their time is waiting.
"""

import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from hosting import Hosting
from service import Service

ROOT = Path(__file__).resolve().parents[2]
USER = 61_234
"""An id that no real user has."""
WHO = ["root", "user"] if os.geteuid() == 0 else ["user"]
if as_ := os.environ.get("BELLJAR_TEST_AS"):
    assert as_ in WHO, f"BELLJAR_TEST_AS={as_}: this process can be {' or '.join(WHO)}"
    WHO = [as_]


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
    """The command, with a state folder of its own, run as one user."""

    def __init__(self, who: str, folder: Path):
        self.other_user = who == "user" and os.geteuid() == 0
        self.folder = folder
        self.give(folder)
        # The build may stand in a folder that this user may not enter.
        tools = self.new_folder("tools")
        for name, variable in [("belljar", "BELLJAR_BIN"), ("belljar-warden", "BELLJAR_WARDEN")]:
            shutil.copy(program(variable, f"target/release/{name}"), tools / name)
        self.binary = tools / "belljar"
        self.state = folder / "state"
        self.jobs = itertools.count(1)
        self.environment: dict[str, str] = {}
        """Set by tests beside HOME and PATH; nothing else is inherited."""

    def give(self, path: Path) -> None:
        """Makes it belong to whoever runs the command."""
        if self.other_user:
            os.chown(path, USER, USER, follow_symlinks=False)

    def new_folder(self, name: str) -> Path:
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        path.chmod(0o755)
        self.give(path)
        return path

    def call(self, args, state: Path | None, extra: dict[str, str] | None) -> dict:
        """What `subprocess` is told to run it."""
        command = [self.binary, "--state", state or self.state, *args]
        identity = {"user": USER, "group": USER, "extra_groups": []} if self.other_user else {}
        env = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin", "BELLJAR_CHECK_ANSWERS": "1"}
        return {
            "args": [str(word) for word in command],
            "cwd": self.folder,
            "env": {**env, **self.environment, **(extra or {})},
            **identity,
        }

    def run(
        self,
        *args,
        timeout: float = 120,
        state: Path | None = None,
        extra: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess:
        call = self.call(args, state, extra)
        return subprocess.run(**call, capture_output=True, text=True, timeout=timeout)

    def popen(self, *args, state: Path | None = None, **given) -> subprocess.Popen:
        return subprocess.Popen(**self.call(args, state, None), stdin=subprocess.DEVNULL, **given)

    def must(self, *args, timeout: float = 120, state: Path | None = None) -> str:
        done = self.run(*args, timeout=timeout, state=state)
        assert done.returncode == 0, f"{args} exited {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def import_image(self, rootfs: Path, tag: str, *options: str, state: Path | None = None) -> str:
        """Makes an image of a folder that may belong to another user."""
        if self.other_user:
            # As if this user had assembled it: some of its folders are their owner's alone.
            own = self.new_folder(tag) / "rootfs"
            subprocess.run(["cp", "-a", "--reflink=auto", rootfs, own], check=True, timeout=120)
            subprocess.run(["chown", "-Rh", f"{USER}:{USER}", own], check=True, timeout=120)
            rootfs = own
        self.must("image", "import", rootfs, "--tag", tag, *options, state=state)
        return tag

    def train(
        self,
        image: str,
        output: Path | str,
        *,
        inputs: dict[str, Path] | None = None,
        hyperparameters: dict[str, object] | None = None,
        metrics: dict[str, str] | None = None,
        extra: tuple = (),
        timeout: float = 120,
    ) -> Job:
        name = f"job-{next(self.jobs)}"
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
        return Job(done.returncode, events, done.stderr, Path(output) / name)


def may_encrypt(belljar: Belljar) -> bool:
    """Whether this user may have TUN devices; `contract/encrypted.rs` holds what comes otherwise."""
    return (os.geteuid() == 0 and not belljar.other_user) or os.stat("/dev/net/tun").st_mode & 0o006 == 0o006


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


@pytest.fixture(scope="session", params=WHO)
def belljar(request):
    folder = Path(tempfile.mkdtemp(prefix="belljar-clients-"))
    folder.chmod(0o755)
    yield Belljar(request.param, folder)
    shutil.rmtree(folder)


@pytest.fixture
def folder(belljar) -> Path:
    """A folder of the test's own that belongs to whoever runs the command."""
    return belljar.new_folder("test")


@pytest.fixture(scope="session")
def digits_image(belljar) -> str:
    rootfs = belljar.new_folder("digits")
    (rootfs / "usr/bin").mkdir(parents=True)
    shutil.copy(program("BELLJAR_DIGITS", "target/static/*/release/digits"), rootfs / "usr/bin/digits")
    return belljar.import_image(rootfs, "digits", "--entrypoint", "/usr/bin/digits")


@pytest.fixture(scope="session")
def probe_image(belljar) -> str:
    rootfs = belljar.new_folder("probe")
    (rootfs / "bin").mkdir(parents=True)
    shutil.copy(program("BELLJAR_PROBE", "target/static/*/release/probe"), rootfs / "bin/probe")
    return belljar.import_image(rootfs, "probe", "--entrypoint", "/bin/probe")


@pytest.fixture(scope="session")
def sklearn_image(belljar) -> str:
    return belljar.import_image(rootfs("sklearn"), "sklearn")


@pytest.fixture(scope="session")
def torch_image(belljar) -> str:
    if belljar.other_user:
        pytest.skip("as root alone: the image is large, and other tests do the same as a user")
    return belljar.import_image(rootfs("torch"), "torch")


@pytest.fixture(scope="session")
def toolkit_image(belljar) -> str:
    return belljar.import_image(rootfs("toolkit"), "toolkit")


@pytest.fixture(scope="session")
def inference_image(belljar) -> str:
    if belljar.other_user:
        pytest.skip("as root alone: the image is large, and other tests do the same as a user")
    return belljar.import_image(rootfs("inference"), "inference")


@pytest.fixture(scope="session")
def behave_rootfs(belljar) -> Path:
    """The image of scikit-learn without scikit-learn, and with `serving/behave.py`."""
    root = belljar.new_folder("behave") / "rootfs"
    shutil.copytree(rootfs("sklearn"), root, symlinks=True, ignore=shutil.ignore_patterns("dist-packages"))
    shutil.copy(Path(__file__).parent / "serving/behave.py", root / "opt/behave.py")
    return root


def import_behave(belljar: Belljar, root: Path, state: Path | None = None) -> str:
    words = [word for part in ("/usr/bin/python3", "/opt/behave.py") for word in ("--entrypoint", part)]
    return belljar.import_image(root, "behave", *words, state=state)


@pytest.fixture(scope="session")
def behave_image(belljar, behave_rootfs) -> str:
    return import_behave(belljar, behave_rootfs)


@pytest.fixture(scope="session")
def service(belljar, digits_image):
    """A service on the state that has the images; its last words are its own."""
    service = Service(belljar).start()
    yield service
    service.stop()
    assert not service.wardens(), "every job and endpoint of the tests has ended"


@pytest.fixture(scope="session")
def hosting(service) -> Hosting:
    return Hosting(service)


@pytest.fixture(scope="session")
def digits_job(belljar, digits_image) -> Job:
    """The example, trained once for all tests that look at what came of it."""
    folder = belljar.new_folder("digits-job")
    for channel in ("train", "test"):
        (folder / channel).mkdir()
        shutil.copy(ROOT / f"examples/digits/data/{channel}.csv", folder / channel)
    return belljar.train(
        digits_image,
        folder / "output",
        inputs={"train": folder / "train", "test": folder / "test"},
        hyperparameters={"trees": 20},
        metrics={"accuracy": "accuracy=([0-9.]+)"},
    )
