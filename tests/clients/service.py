"""A running service: `belljar up` on the state of a `Belljar`, with clients that know only what
`belljar env` says."""

import contextlib
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

import boto3
from botocore.config import Config

ROLE = "BelljarExecutionRole"
TERMINAL = ("Completed", "Failed", "Stopped")


class Service:
    """`belljar up`, as the user of a `Belljar`; started by `start()`, ended by `stop()`."""

    def __init__(self, belljar, *options: str, state: Path | None = None, listen: str = "127.0.0.1:0"):
        self.belljar = belljar
        self.state = state or belljar.state
        self.options = ("--listen", listen, *options)
        self.process: subprocess.Popen | None = None
        self.environment: dict[str, str] = {}
        """What `belljar env` exports."""
        self.log = belljar.folder / f"service-{id(self)}.log"

    @property
    def endpoint(self) -> str:
        return self.environment["AWS_ENDPOINT_URL"]

    @property
    def role(self) -> str:
        """A role that jobs can name."""
        return self.client("iam").get_role(RoleName=ROLE)["Role"]["Arn"]

    def start(self) -> "Service":
        with self.log.open("ab") as log:
            self.process = self.belljar.popen(
                "up", *self.options, state=self.state, stdout=log, stderr=log
            )
        end = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, f"the service ended\n{self.said}"
            done = self.belljar.run("env", state=self.state)
            if done.returncode == 0:
                self.environment = exports(done.stdout)
                return self
            assert time.monotonic() < end, f"no service\n{done.stderr}{self.said}"
            time.sleep(0.01)

    def stop(self) -> None:
        """As a person would; what it is to leave is nothing but its state."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        assert code == 0, f"the service ended with {code}\n{self.said}"
        left = {p.name for p in (self.state / "service").iterdir()}
        assert not left & {"socket", "address.json"}, left
        assert self.belljar.run("env", state=self.state).returncode != 0

    def kill(self) -> None:
        """As a power failure would."""
        self.process.kill()
        self.process.wait(timeout=30)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def client(self, name: str, **given):
        """A boto3 client that tries once."""
        env = self.environment
        config = Config(retries={"total_max_attempts": 1}).merge(given.pop("config", Config()))
        settings = {
            "endpoint_url": env["AWS_ENDPOINT_URL"],
            "region_name": env["AWS_REGION"],
            "aws_access_key_id": env["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": env["AWS_SECRET_ACCESS_KEY"],
        }
        return boto3.Session().client(name, **{**settings, **given}, config=config)

    def exec(self, command, extra: dict[str, str] | None = None, timeout: float = 120):
        """A command in a bell jar of its own (`belljar exec`)."""
        words = ["exec", "--", *command]
        return self.belljar.run(*words, state=self.state, timeout=timeout, extra=extra or {})

    def wait(self, job: str, timeout: float = 120) -> dict:
        """The description of a training job at its end."""
        sagemaker = self.client("sagemaker")
        end = time.monotonic() + timeout
        while True:
            seen = sagemaker.describe_training_job(TrainingJobName=job)
            if seen["TrainingJobStatus"] in TERMINAL:
                return seen
            assert time.monotonic() < end, f"{json.dumps(seen, default=str)}\n{self.said}"
            time.sleep(0.05)

    def lines(self, job: str, host: str) -> list[str]:
        """What an instance printed, in all attempts."""
        logs, found = self.client("logs"), []
        group = "/aws/sagemaker/TrainingJobs"
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/{host}-")
        for stream in streams["logStreams"]:
            where = {"logGroupName": group, "logStreamName": stream["logStreamName"], "startFromHead": True}
            found += [event["message"] for event in logs.get_log_events(**where)["events"]]
        return found

    def wardens(self) -> list[int]:
        """Processes that work for jobs and endpoints of this state."""
        found, folders = [], [str(self.state / name).encode() for name in ("jobs", "endpoints")]
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
                if any(folder in word for word in words for folder in folders):
                    found.append(int(entry.name))
        return found


def free_port() -> int:
    """A port that a service can have again and again: none that the system gives to others meanwhile."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(low // 2, low)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def exports(text: str) -> dict[str, str]:
    """What `eval` would make of the lines of `belljar env`."""
    found = {}
    for line in text.splitlines():
        word, rest = line.split(" ", 1)
        if word == "export":
            name, value = rest.split("=", 1)
            (found[name],) = shlex.split(value)
        else:
            assert word == "unset", line
    return found


def processes_of(pid: int) -> list[int]:
    """A process's children, of whichever of its threads."""
    found = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(p) for p in (thread / "children").read_text().split()]
    return found


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
