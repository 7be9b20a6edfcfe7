"""Models and endpoints of a running service, and what a test needs to know of what is behind them."""

import contextlib
import io
import itertools
import json
import os
import sqlite3
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

from botocore.config import Config
from botocore.exceptions import ClientError
from service import ROLE

TYPE = "ml.m5.large"
BUCKET = "hosting"
ROLE_ARN = f"arn:aws:iam::123456789012:role/{ROLE}"
GROUP = "/aws/sagemaker/Endpoints"


def until(condition: Callable, what: str, timeout: float = 60, pause: float = 0.05):
    """What a condition gives as soon as it is something."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {timeout} s: {what() if callable(what) else what}"
        time.sleep(pause)
    return found


def archive(files: dict[str, bytes | str]) -> bytes:
    """A model.tar.gz."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def refusal(call, **arguments) -> dict:
    """What a call is refused with: the whole answer."""
    try:
        call(**arguments)
    except ClientError as e:
        return e.response
    raise AssertionError(f"{arguments} was not refused")


class Hosting:
    """Endpoints of a service, by short words. Names are the test's; counted where it gives none."""

    def __init__(self, service):
        self.service = service
        self.numbers = itertools.count(1)
        self.sagemaker = service.client("sagemaker")
        self.s3, self.logs = service.client("s3"), service.client("logs")
        self.runtime = self.runtime_of(64)
        with contextlib.suppress(ClientError):
            self.s3.create_bucket(Bucket=BUCKET)

    def runtime_of(self, connections: int, read_timeout: float = 90):
        config = Config(max_pool_connections=connections, read_timeout=read_timeout)
        return self.service.client("sagemaker-runtime", config=config)

    def put(self, key: str, body: bytes | str) -> str:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def read(self, uri: str) -> bytes:
        bucket, key = uri.removeprefix("s3://").split("/", 1)
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    # --- making ---

    def name(self, kind: str = "hosted") -> str:
        return f"{kind}-{next(self.numbers)}"

    def model(self, image: str, data: str | None = None, environment: dict | None = None, **container) -> str:
        """A model with one container."""
        container = {"Image": image, "Environment": environment or {}, **container}
        if data:
            container["ModelDataUrl"] = data
        return self.model_of(PrimaryContainer=container)

    def model_of(self, **request) -> str:
        name = self.name("model")
        self.sagemaker.create_model(
            **{"ModelName": name, "ExecutionRoleArn": ROLE_ARN, "EnableNetworkIsolation": True, **request}
        )
        return name

    def config(self, *variants: dict | str, **more) -> str:
        """A configuration; of a model's name is made the only variant, with one instance."""
        name = self.name("config")
        full = [variant(v) if isinstance(v, str) else v for v in variants]
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=full, **more)
        return name

    def create(self, config: str, name: str | None = None) -> str:
        name = name or self.name()
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        return name

    @contextlib.contextmanager
    def endpoint(self, *variants: dict | str, name: str | None = None, timeout: float = 60, **more):
        """An endpoint in service, for as long as it is wanted."""
        name = self.create(self.config(*variants, **more), name)
        try:
            self.wait(name, timeout=timeout)
            yield name
        finally:
            self.delete(name)

    @contextlib.contextmanager
    def behaving(self, image: str, count: int = 1, environment: dict | None = None, **more):
        model = self.model(image, environment=environment)
        with self.endpoint(variant(model, count=count, **more)) as name:
            yield name

    def describe(self, name: str) -> dict:
        return self.sagemaker.describe_endpoint(EndpointName=name)

    def wait(self, name: str, status: str = "InService", timeout: float = 60) -> dict:
        """The description of an endpoint that has come to rest."""
        moving = ("Creating", "Updating", "Deleting", "RollingBack")

        def rests():
            seen = self.describe(name)
            return seen if seen["EndpointStatus"] not in moving else None

        seen = until(rests, lambda: f"{self.describe(name)}\n{self.service.said[-3000:]}", timeout)
        assert seen["EndpointStatus"] == status, (seen, self.lines(name)[-20:])
        return seen

    def delete(self, name: str, timeout: float = 120) -> None:
        with contextlib.suppress(ClientError):
            self.sagemaker.delete_endpoint(EndpointName=name)
        until(lambda: not self.exists(name), lambda: f"{name} is deleted\n{self.service.said[-3000:]}", timeout)

    def exists(self, name: str) -> bool:
        try:
            self.describe(name)
        except ClientError as e:
            assert "Could not find" in e.response["Error"]["Message"], e
            return False
        return True

    # --- invoking ---

    def invoke(self, name: str, body: bytes | str, **more) -> dict:
        """The answer, with its body read."""
        answer = self.runtime.invoke_endpoint(EndpointName=name, Body=body, **more)
        return {**answer, "Body": answer["Body"].read()}

    def tell(self, name: str, do: str, more: dict | None = None, **told):
        """Has `behave` do something; what it says."""
        text = json.dumps({"do": do, **told})
        body = self.invoke(name, text, ContentType="application/json", **(more or {}))["Body"]
        try:
            return json.loads(body)
        except ValueError:
            return body

    def refused(self, name: str, body: bytes | str = b"x", **more) -> dict:
        return refusal(self.runtime.invoke_endpoint, EndpointName=name, Body=body, **more)

    def fails(self, name: str, do: str, more: dict | None = None, **told) -> dict:
        """What comes of something that goes wrong: a `ModelError`."""
        answer = self.refused(name, json.dumps({"do": do, **told}), **(more or {}))
        assert answer["Error"]["Code"] == "ModelError", answer
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424, answer
        return answer

    # --- what is behind ---

    def servers(self, name: str) -> list[dict]:
        """An endpoint's instances, as the service's state has them."""
        uri = f"file:{self.service.state}/service/state.db?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as db:
            rows = db.execute("SELECT server FROM server WHERE endpoint = ? ORDER BY begun, id", (name,))
            return [json.loads(text) for (text,) in rows]

    def folders(self, name: str) -> list[Path]:
        found = (self.service.state / "endpoints").glob("i-*")
        ids = {server["id"] for server in self.servers(name)}
        return sorted(path for path in found if path.name.rsplit("-", 1)[0] in ids)

    def wardens(self, server: str) -> list[int]:
        """The wardens of an instance: the processes that were started for its folders, and are no
        other's children of that kind."""
        found, place = [], str(self.service.state / "endpoints" / server)
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
                if any(word.decode(errors="replace").startswith(f"{place}-") for word in words):
                    found.append(int(entry.name))
        return found

    def kill(self, server: str) -> None:
        """As the out-of-memory killer would: without a word."""
        for pid in self.wardens(server):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)

    def lines(self, name: str) -> list[str]:
        return [line for lines in self.streams(name).values() for line in lines]

    def streams(self, name: str) -> dict[str, list[str]]:
        """What each instance printed, by its stream."""
        found, group = {}, f"{GROUP}/{name}"
        try:
            pages = self.logs.get_paginator("describe_log_streams").paginate(logGroupName=group)
            names = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
        except ClientError:
            return {}
        for stream in names:
            where = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}
            found[stream] = [event["message"] for event in self.logs.get_log_events(**where)["events"]]
        return found

    def evidence(self, name: str) -> list[Path]:
        """What was stated of an endpoint's containers."""
        return sorted((self.service.state / "evidence" / name).rglob("*.intoto.json"))


def variant(model: str, name: str = "AllTraffic", count: int = 1, weight: float = 1, **more) -> dict:
    return {
        "VariantName": name,
        "ModelName": model,
        "InitialInstanceCount": count,
        "InstanceType": TYPE,
        "InitialVariantWeight": weight,
        **more,
    }


