"""PyPI's sagemaker-training 5.1.4, unchanged, in script mode: the code comes in channel `code`."""

import subprocess
import textwrap

import pytest

from conftest import rootfs

STARTED_WITHIN = 8
"""Seconds from the container's first instruction to the script's first line, without those in which
other work of the machine had the processors. It is half a second if nothing is waited for, and most of
that is the toolkit's own imports."""

SCRIPT = """
    import argparse, json, os, pathlib, socket, time

    # In ticks since the machine started: of the container's first process.
    began = int(pathlib.Path("/proc/1/stat").read_text().rsplit(")", 1)[1].split()[19])
    began = time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")
    # In nanoseconds: how long the toolkit, and this, were ready to run and did not.
    for pid in ("1", "self"):
        began -= int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9

    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--fail", default="")
    chosen = parser.parse_args()
    if chosen.fail:
        raise RuntimeError(chosen.fail)
    lines = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "data.txt").read_text().split()
    print("host", os.environ["SM_CURRENT_HOST"], json.loads(os.environ["SM_HOSTS"]))
    print("resolved", socket.gethostbyname("algo-1"))
    print("interface", os.environ["SM_NETWORK_INTERFACE_NAME"])
    print(f"epochs={chosen.epochs} lines={len(lines)}")
    print("began", began)
    pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("trained")
"""


@pytest.fixture
def toolkit_with_a_program(belljar, folder) -> str:
    """The toolkit's image with `COPY train.py /opt/ml/code/` and `ENV SAGEMAKER_PROGRAM train.py`."""
    root = folder / "rootfs"
    subprocess.run(["cp", "-a", "--reflink=auto", rootfs("toolkit"), root], check=True, timeout=120)
    (root / "opt/ml/code").mkdir(parents=True)
    (root / "opt/ml/code/train.py").write_text("print(\"trained by the image's own program\")\n")
    return belljar.import_image(root, "toolkit-program", "--env", "SAGEMAKER_PROGRAM=train.py")


def run(belljar, image, folder, *extra, **hyperparameters):
    """As the SageMaker SDK starts a script: values are JSON in strings."""
    code, train = folder / "code", folder / "train"
    code.mkdir()
    train.mkdir()
    (code / "train.py").write_text(textwrap.dedent(SCRIPT))
    (train / "data.txt").write_text("a\nb\nc\n")
    return belljar.train(
        image,
        folder / "output",
        inputs={"code": code, "train": train},
        hyperparameters={
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": '"/opt/ml/input/data/code"',
            **hyperparameters,
        },
        metrics={"epochs": "epochs=([0-9]+)"},
        extra=extra,
    )


def test_two_instances_start_at_once(belljar, toolkit_image, folder):
    """The toolkit waits until every host's name resolves, in silence, for longer with every try."""
    job = run(belljar, toolkit_image, folder, "--instances", "2", epochs=3).completed()
    for host in ("algo-1", "algo-2"):
        told = [event["told"] for event in job.of("instance") if event["host"] == host]
        lines = [event["line"] for event in told if event["event"] == "log"]
        assert f"host {host} ['algo-1', 'algo-2']" in lines, lines
        assert "resolved 100.127.7.1" in lines and "interface eth0" in lines, lines
        (began,) = [float(line.split()[1]) for line in lines if line.startswith("began ")]
        assert began < STARTED_WITHIN, lines
    assert "model.txt" in job.members("model.tar.gz")


def test_a_script_is_trained(belljar, toolkit_image, folder):
    job = run(belljar, toolkit_image, folder, epochs=3).completed()
    assert "host algo-1 ['algo-1']" in job.log, job.log
    assert "interface lo" in job.log
    assert "epochs=3 lines=3" in job.log
    assert any(line.startswith("resolved 127.") or line.startswith("resolved 169.254.") for line in job.log)
    assert job.metrics == {"epochs": 3.0}
    assert "model.txt" in job.members("model.tar.gz")


def test_what_the_toolkit_says_of_a_script_that_raised_is_the_failure_reason(belljar, toolkit_image, folder):
    job = run(belljar, toolkit_image, folder, fail='"no such luck"')
    assert job.exit_code == 1
    assert "RuntimeError: no such luck" in job.log, job.log
    # The toolkit writes the script's exit code and command into its failure file, and leaves what
    # the script raised in the log.
    reason = job.report["outcome"]["reason"]
    assert reason.startswith("AlgorithmError: ExecuteUserScriptError:\nExitCode 1\n"), reason
    assert reason.endswith(", exit code: 1"), reason


def test_a_program_in_the_image_is_trained(belljar, toolkit_with_a_program, folder):
    """The way of the toolkit's own README: the program in /opt/ml/code, named by a variable."""
    job = belljar.train(toolkit_with_a_program, folder / "output").completed()
    assert "trained by the image's own program" in job.log, job.log
