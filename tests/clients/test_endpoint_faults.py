"""Endpoints among what goes wrong: wardens that are killed, containers that answer badly or not at
all, a service that is restarted, and all of it at once under load.

They have a service and a state of their own, because the service comes and goes.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)
from conftest import import_behave
from hosting import BUCKET, Hosting, archive, refusal, until, variant
from service import Service, free_port, processes_of

EXITED = "the model process exited"
REQUESTS = int(os.environ.get("BELLJAR_LOAD", "10000"))
CONNECTIONS = 64


@pytest.fixture(scope="module")
def own(belljar, behave_rootfs):
    """A service on a port that stays the same."""
    state = belljar.new_folder("faults") / "state"
    import_behave(belljar, behave_rootfs, state)
    service = Service(belljar, state=state, listen=f"127.0.0.1:{free_port()}").start()
    yield service
    if service.process.poll() is not None:
        service.start()
    service.stop()
    assert not service.wardens(), "every endpoint of the tests has ended"


@pytest.fixture(scope="module")
def hosted(own) -> Hosting:
    return Hosting(own)


@pytest.fixture
def once(belljar) -> None:
    """What takes long, and is the same for every user, is held once."""
    if belljar.other_user:
        pytest.skip("held as root")


@pytest.fixture(scope="module")
def behaving(hosted):
    with hosted.behaving("behave") as name:
        yield name


# --- answers that are none ---

WRONG = [
    ("half", {}, EXITED),
    ("nothing", {}, EXITED),
    ("reset", {}, EXITED),
    ("garbage", {}, "not HTTP"),
    ("many_headers", {}, "not HTTP"),
    ("size", {"bytes": (25 << 20) + 1}, "more than"),
    ("size", {"bytes": (25 << 20) + 1, "chunked": True}, "more than"),
    ("stream", {"parts": ["a", "b"], "breaks": True}, EXITED),
]


@pytest.mark.parametrize(("do", "told", "said"), WRONG, ids=lambda v: v if isinstance(v, str) else None)
def test_an_answer_that_is_none_is_a_model_error(hosted, behaving, do, told, said):
    born = hosted.tell(behaving, "count")["born"]
    answer = hosted.fails(behaving, do, **told)
    assert answer["OriginalStatusCode"] == 0, answer
    assert "Received server error (0) from primary with message" in answer["Error"]["Message"]
    assert said in answer["Error"]["Message"], answer
    assert hosted.tell(behaving, "count")["born"] == born, "a bad answer is no reason to replace it"


def test_a_server_that_closes_its_connections_loses_nothing(hosted, behaving):
    for _ in range(20):
        assert hosted.tell(behaving, "last") == b"last"
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: hosted.tell(behaving, "last"), range(200))) == {b"last"}
    # Of one that does not say so it is known by the next request, but for one that crosses its FIN.
    for _ in range(20):
        assert hosted.tell(behaving, "silently_last") == b"last"
        time.sleep(0.05)


def resident(pid: int) -> int:
    """Bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kib,) = [line.split()[1] for line in lines if line.startswith("VmRSS")]
    return int(kib) << 10


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_nothing_adds_up(own, hosted, behaving):
    """Thousands of them, and the service and the warden have what they had."""
    (server,) = [s["id"] for s in hosted.servers(behaving)]
    processes = [own.process.pid, *hosted.wardens(server)]
    bad = [("half", {}), ("nothing", {}), ("reset", {}), ("garbage", {}), ("reply", {"status": 500}), ("silently_last", {})]

    def ask(n: int) -> None:
        do, told = bad[n % len(bad)]
        with contextlib.suppress(ClientError):
            hosted.tell(behaving, do, **told)

    def measure(of) -> list[int]:
        return [of(pid) for pid in processes]

    with ThreadPoolExecutor(32) as pool:
        # All of the clients' connections, which stay.
        list(pool.map(lambda _: hosted.tell(behaving, "sleep", seconds=1), range(32)))
        list(pool.map(ask, range(1000)))
        time.sleep(2.5)  # connections that nobody uses are closed
        files, memory = measure(descriptors), measure(resident)
        list(pool.map(ask, range(3000)))
        grown = lambda: [then - before for then, before in zip(measure(descriptors), files, strict=True)]  # noqa: E731
        until(lambda: max(grown()) <= 8, lambda: f"connections are closed: {processes} {files} {grown()}", 30)
    after = measure(resident)
    assert all(then <= before + (24 << 20) for then, before in zip(after, memory, strict=True)), (memory, after)


def test_what_takes_a_minute(hosted, once):
    """A container that hangs has 60 s; a request by way of S3 has no longer than it was given."""
    output = {"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/late", "S3FailurePath": f"s3://{BUCKET}/late-failed"}}
    one_by_one = {**output, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1}}
    model = hosted.model("behave")
    with hosted.behaving("behave") as direct, hosted.endpoint(model, AsyncInferenceConfig=one_by_one) as by_s3:
        where = hosted.put("late-in", json.dumps({"do": "sleep", "seconds": 63}))
        runtime = hosted.runtime_of(4, read_timeout=100)
        runtime.invoke_endpoint_async(EndpointName=by_s3, InputLocation=where)
        time.sleep(1)
        second = runtime.invoke_endpoint_async(EndpointName=by_s3, InputLocation=where, RequestTTLSeconds=60)

        def hang(do: str) -> tuple[float, dict]:
            began = time.monotonic()
            answer = refusal(runtime.invoke_endpoint, EndpointName=direct, Body=json.dumps({"do": do}))
            return time.monotonic() - began, answer

        with ThreadPoolExecutor(2) as pool:
            for took, answer in pool.map(hang, ["hang", "trickle"]):
                assert 59 < took < 90, took
                assert (answer["Error"]["Code"], answer["OriginalStatusCode"]) == ("ModelError", 0), answer
                assert answer["Error"]["Message"].startswith(
                    'Received server error (0) from primary with message "Your invocation timed out while waiting for '
                    "a response from container primary. Review the latency metrics for each container in Amazon "
                    'CloudWatch, resolve the issue, and try again."'
                ), answer

        def failed():
            with contextlib.suppress(ClientError):
                return hosted.read(second["FailureLocation"])

        until(failed, "the second request has expired")
        assert hosted.tell(direct, "add", n=1)["n"] == 2
        with pytest.raises(ClientError):
            hosted.read(second["OutputLocation"])


# --- instances that die ---


def healthy(hosted, name: str) -> set[str]:
    """The births of the containers that answer."""
    found = set()
    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(lambda _: answered(hosted, name), range(32)):
            found.add(answer)
    return found - {None}


def answered(hosted, name: str, **more) -> str | None:
    try:
        return hosted.tell(name, "count", more)["born"]
    except ClientError:
        return None


@dataclasses.dataclass
class Asked:
    began: float
    ended: float
    n: int
    answer: dict | None = None
    error: Exception | None = None

    def is_right(self) -> bool:
        return self.answer is not None and self.answer["n"] == self.n + 1


class Load:
    """Requests from many threads at once: a number each, to which one is to be added."""

    def __init__(self, hosted, name: str, threads: int = CONNECTIONS, requests: int | None = None, work: float = 0):
        self.runtime, self.name, self.threads, self.work = hosted.runtime_of(threads), name, threads, work
        self.left = requests
        self.asked: list[Asked] = []
        self.retried = Counter()
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.running: list[threading.Thread] = []

    def wanted(self) -> bool:
        if self.over.is_set():
            return False
        with self.lock:
            if self.left is None:
                return True
            self.left -= 1
            return self.left >= 0

    def one(self) -> Asked:
        n = random.randrange(1 << 40)
        told = {"do": "sleep", "seconds": self.work, "n": n} if self.work else {"do": "add", "n": n}
        asked = Asked(time.monotonic(), 0, n)
        while True:
            try:
                body = self.runtime.invoke_endpoint(EndpointName=self.name, Body=json.dumps(told))["Body"].read()
                asked.answer, asked.error = json.loads(body), None
            except (EndpointConnectionError, ConnectionClosedError, HTTPClientError) as e:
                # The service is not there: every client tries again.
                self.retried[type(e).__name__] += 1
                time.sleep(0.05)
                if not self.over.is_set():
                    continue
                asked.error = e
            except Exception as e:  # noqa: BLE001: whatever it is, it was lost
                asked.error = e
            asked.ended = time.monotonic()
            return asked

    def ask(self) -> None:
        while self.wanted():
            self.asked.append(self.one())

    @property
    def failed(self) -> list[Asked]:
        return [a for a in self.asked if a.error is not None]

    def __enter__(self):
        self.running = [threading.Thread(target=self.ask) for _ in range(self.threads)]
        for thread in self.running:
            thread.start()
        until(lambda: len(self.asked) > self.threads, lambda: f"it answers: {self.failed[:3]}")
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is not None or self.left is None:
            self.over.set()
        for thread in self.running:
            thread.join(timeout=300)
        assert not any(thread.is_alive() for thread in self.running)


def hold(load: Load, kills: list[tuple[float, float]]) -> None:
    """No answer is wrong, and what has none was inside an instance when it was killed."""
    wrong = [a for a in load.asked if a.answer is not None and not a.is_right()]
    assert not wrong, wrong[:3]
    for asked in load.failed:
        assert isinstance(asked.error, ClientError), asked
        assert asked.error.response["Error"]["Code"] == "ModelError", asked
        assert EXITED in str(asked.error), asked
        inside = any(asked.began <= done and began <= asked.ended for began, done in kills)
        assert inside, (asked, kills)


def family(pid: int) -> set[int]:
    """A process and all below it."""
    return {pid}.union(*(family(child) for child in processes_of(pid)))


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def killed(hosted, servers: list[str]) -> tuple[float, float]:
    """When the kill of instances began, and when none of them can have answered any more."""
    began = time.monotonic()
    all_of = set().union(*(family(pid) for server in servers for pid in hosted.wardens(server)))
    for server in servers:
        hosted.kill(server)
    # On a busy machine what is killed takes its time to end, and has its connections until then.
    until(lambda: not any(map(runs, all_of)), lambda: f"they end: {all_of}", pause=0.005)
    return began, time.monotonic() + 1


def test_an_instance_is_killed_while_it_has_requests(hosted):
    with hosted.behaving("behave", count=2) as name:
        with Load(hosted, name, threads=16, work=0.02) as load:
            one, two = [s["id"] for s in hosted.servers(name)]
            kill = killed(hosted, [one])
            until(lambda: one not in {s["id"] for s in hosted.servers(name)}, "it is replaced")
            until(lambda: len(healthy(hosted, name)) == 2, "there are two again")
            assert two in {s["id"] for s in hosted.servers(name)}, "the other one stays"
            time.sleep(1)
        hold(load, [kill])
        assert len(load.failed) <= 16, "at most what it had"
        assert hosted.describe(name)["EndpointStatus"] == "InService"


def test_a_warden_that_is_held_up_costs_no_request(hosted):
    """As on a machine that is busy: nobody is at the only door for a while."""
    with hosted.behaving("behave") as name, ThreadPoolExecutor(1) as pool:
        held = hosted.wardens(hosted.servers(name)[0]["id"])
        time.sleep(2)  # connections that nobody uses are closed
        for pid in held:
            os.kill(pid, signal.SIGSTOP)
        try:
            asked = pool.submit(hosted.tell, name, "add", n=1)
            time.sleep(7)
        finally:
            for pid in held:
                os.kill(pid, signal.SIGCONT)
        assert asked.result()["n"] == 2


def test_a_whole_zone_is_killed(hosted):
    with hosted.behaving("behave", count=4) as name:
        zones = Counter(server["zone"] for server in hosted.servers(name))
        assert len(zones) >= 2 and max(zones.values()) - min(zones.values()) <= 1, zones
        zone = zones.most_common(1)[0][0]
        with Load(hosted, name, threads=16, work=0.02) as load:
            dead = [s["id"] for s in hosted.servers(name) if s["zone"] == zone]
            kill = killed(hosted, dead)
            until(lambda: not set(dead) & {s["id"] for s in hosted.servers(name)}, "they are replaced")
            until(lambda: len(healthy(hosted, name)) == 4, "there are four again")
        hold(load, [kill])
        again = Counter(server["zone"] for server in hosted.servers(name))
        assert max(again.values()) - min(again.values()) <= 1, again


def test_a_container_that_dies_is_replaced_slower_and_slower(hosted):
    with hosted.behaving("behave") as name:
        gaps, before = [], {s["id"] for s in hosted.servers(name)}
        for death in range(1, 6):
            began = time.monotonic()
            failed = hosted.fails(name, "die")
            assert EXITED in failed["Error"]["Message"], failed
            (server,) = until(lambda: [s for s in hosted.servers(name) if s["id"] not in before], "another one")
            assert server["tries"] == death
            before.add(server["id"])
            until(lambda: answered(hosted, name), "it answers")
            gaps.append(time.monotonic() - began)
        # The pause is doubled with each: 0.1 s, 0.2 s, ... 1.6 s. A start takes as long as the machine is busy.
        assert all(gap >= 0.1 * 2**n for n, gap in enumerate(gaps)), gaps
        assert min(gaps[:3]) < gaps[-1], gaps
        seen = hosted.describe(name)
        assert seen["EndpointStatus"] == "InService"
        assert any("dies as it was told" in line for line in hosted.lines(name))


# --- models that are brought ---

LARGE = 160 << 20


def half_there(hosted, name: str) -> list[Path]:
    """What of a large model is on its way into a container."""
    found = []
    for folder in hosted.folders(name):
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and 1000 < path.stat().st_size < LARGE and "/ml/" in str(path):
                    found.append(path)
    return found


@pytest.mark.parametrize("victim", ["warden", "service"])
def test_a_kill_while_a_model_is_brought(own, hosted, victim):
    """No half of a model is left, and none is ever loaded."""
    prefix = f"models-{victim}/"
    hosted.put(f"{prefix}small", b"small")
    model = hosted.model("behave", f"s3://{BUCKET}/{prefix}", Mode="MultiModel")
    with hosted.endpoint(model) as name:
        (before,) = hosted.servers(name)
        folders = hosted.folders(name)
        with ThreadPoolExecutor(1) as pool:
            # On a busy machine one may be there before this has seen it come: then it is another one's turn.
            for number in range(5):
                large = f"large-{number}"
                hosted.put(f"{prefix}{large}", os.urandom(1 << 20) * (LARGE >> 20))
                asked = pool.submit(hosted.runtime_of(1).invoke_endpoint, EndpointName=name, Body=b"x", TargetModel=large)
                until(lambda: half_there(hosted, name) or asked.done(), "it is on its way", pause=0.001)  # noqa: B023
                if not asked.done():
                    break
            else:
                pytest.fail("the models should be larger")
            if victim == "warden":
                hosted.kill(before["id"])
                until(lambda: before["id"] not in {s["id"] for s in hosted.servers(name)}, "it is replaced")
                until(lambda: not any(folder.exists() for folder in folders), "nothing of it is left")
            else:
                own.kill()
                own.start()
                assert [s["id"] for s in hosted.servers(name)] == [before["id"]]
            with contextlib.suppress(ClientError, HTTPClientError, ConnectionClosedError):
                asked.result()
        until(lambda: answered(hosted, name, TargetModel="small"), "it answers")
        assert hosted.tell(name, "echo", {"TargetModel": large})["headers"]
        sizes = [p.stat().st_size for f in hosted.folders(name) for p in f.rglob("*") if p.is_file()]
        before_it = number if victim == "service" else 0
        assert sizes.count(LARGE) == 1 + before_it, "it is there once, and whole"
        assert not half_there(hosted, name)


def test_one_that_is_not_well_has_no_requests(hosted, once):
    with hosted.behaving("behave", count=2) as name:
        sick = hosted.tell(name, "count")["born"]
        while hosted.tell(name, "count")["born"] != sick:
            pass
        hosted.tell(name, "sicken")
        births = until(lambda: (b := healthy(hosted, name)) and len(b) == 1 and b, "one of them has none any more")
        until(lambda: len(healthy(hosted, name) | births) >= 2, "another one is in its place", 90)
        assert hosted.describe(name)["EndpointStatus"] == "InService"


def test_a_service_that_is_restarted_finds_its_endpoints(own, hosted):
    model = hosted.model("behave")
    with hosted.endpoint(variant(model, count=2)) as name:
        births = healthy(hosted, name)
        servers = {s["id"] for s in hosted.servers(name)}
        assert len(births) == 2
        for end in (own.stop, own.kill):
            end()
            assert all(hosted.wardens(server) for server in servers), "they outlive it"
            own.start()
            hosted.wait(name)
            until(lambda: healthy(hosted, name) == births, "the same containers answer")
            assert {s["id"] for s in hosted.servers(name)} == servers
        # What dies while nobody looks is replaced all the same.
        own.stop()
        one, two = sorted(servers)
        hosted.kill(one)
        own.start()
        assert until(lambda: answered(hosted, name), "the other one answers") in births
        until(lambda: one not in {s["id"] for s in hosted.servers(name)}, "it is replaced")
        until(lambda: len(healthy(hosted, name)) == 2, "there are two again")
        # A deletion that nobody has carried out.
        hosted.sagemaker.delete_endpoint(EndpointName=name)
        own.kill()
        own.start()
        until(lambda: not hosted.exists(name), "it is deleted")
        until(lambda: not any(hosted.wardens(server) for server in servers), "with its wardens")


def test_a_service_that_stops_ends_what_it_has(own, hosted):
    """A request under way is answered before it leaves."""
    with hosted.behaving("behave") as name:
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(hosted.tell, name, "sleep", seconds=3, n=n) for n in range(4)]
            # Who looks is counted, too.
            looks = itertools.count(1)
            until(lambda: hosted.tell(name, "count")["served"] >= 4 + next(looks), "it has them all")
            own.process.send_signal(signal.SIGTERM)
            assert [a.result()["n"] for a in asked] == [1, 2, 3, 4]
            assert own.process.wait(timeout=30) == 0, own.said
        own.start()
        until(lambda: answered(hosted, name), "it answers again")


def test_clients_that_leave_take_their_requests_along(own, hosted):
    """What nobody waits for any more keeps no instance from leaving."""
    name = hosted.create(hosted.config(hosted.model("behave")))
    hosted.wait(name)
    impatient = hosted.runtime_of(16, read_timeout=0.5)

    def leave(_: int) -> None:
        with pytest.raises(ReadTimeoutError):
            impatient.invoke_endpoint(EndpointName=name, Body=json.dumps({"do": "sleep", "seconds": 50}))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(leave, range(32)))
    assert hosted.tell(name, "add", n=1)["n"] == 2
    began = time.monotonic()
    hosted.delete(name)
    assert time.monotonic() - began < 40


def test_models_outlive_the_service(own, hosted):
    """A container has the models that it had; the new service finds out which."""
    for n in range(4):
        hosted.put(f"outlive/{n}.tar.gz", archive({"which": str(n)}))
    model = hosted.model("behave", f"s3://{BUCKET}/outlive/", {"MODELS_FIT": "2"}, Mode="MultiModel")
    with hosted.endpoint(model) as name:

        def which(n: int) -> None:
            target = {"TargetModel": f"{n}.tar.gz"}
            folder = hosted.tell(name, "count", target)["model"]
            assert hosted.tell(name, "files", target, folder=folder) == {"which": str(n)}

        which(0)
        which(1)
        own.kill()
        own.start()
        for n in (1, 2, 3, 0):
            which(n)

        def loads() -> list[str]:
            return [line for line in hosted.lines(name) if line.startswith("loaded ")]

        until(lambda: len(loads()) >= 5, lambda: f"all loads are told: {loads()}")
        assert len(loads()) == 5, "the model that stayed is not loaded again"


def test_requests_by_way_of_s3_outlive_the_service_and_instances(own, hosted):
    output = {"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/outlived", "S3FailurePath": f"s3://{BUCKET}/not-outlived"}}
    few = {**output, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2}}
    with hosted.endpoint(variant(hosted.model("behave"), count=2), AsyncInferenceConfig=few) as name:
        asked = []
        for n in range(40):
            where = hosted.put(f"outlive-in/{n}", json.dumps({"do": "sleep", "seconds": 0.3, "n": n}))
            answer = hosted.runtime.invoke_endpoint_async(EndpointName=name, InputLocation=where)
            asked.append((n, answer["OutputLocation"], answer["FailureLocation"]))
        own.kill()
        own.start()
        time.sleep(0.5)
        hosted.kill(hosted.servers(name)[0]["id"])

        def ended(uri: str) -> bytes | None:
            try:
                return hosted.read(uri)
            except ClientError:
                return None

        failures = 0
        for n, output, failure in asked:
            found = until(lambda o=output, f=failure: [ended(o), ended(f)] if ended(o) or ended(f) else None, f"{n} has ended", 90)
            if found[0] is None:
                failures += 1
                assert EXITED in found[1].decode(), found
            else:
                assert json.loads(found[0])["n"] == n + 1
        assert failures <= 2, "no more than the killed instance had"


def test_everything_at_once(own, hosted):
    """10,000 requests at 64 connections, while instances are killed, weights changed, the endpoint
    updated twice and the service restarted."""
    models = [hosted.model("behave", environment={"TURN": str(turn)}) for turn in range(3)]

    def both(model: str) -> list[dict]:
        return [variant(model, name, count=2) for name in ("one", "two")]

    kills: list[tuple[float, float]] = []

    def kill_one(name: str) -> None:
        servers = [s for s in hosted.servers(name) if "stopping" not in s]
        kills.append(killed(hosted, [random.choice(servers)["id"]]))

    def weights(name: str, one: float, two: float) -> None:
        shares = [{"VariantName": v, "DesiredWeight": w} for v, w in (("one", one), ("two", two))]
        hosted.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=shares)
        hosted.wait(name)

    def update(name: str, model: str) -> None:
        hosted.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=hosted.config(*both(model)))
        hosted.wait(name)

    with hosted.endpoint(*both(models[0])) as name:
        began = time.monotonic()
        with Load(hosted, name, requests=REQUESTS) as load:
            steps = [
                lambda: kill_one(name),
                lambda: weights(name, 3, 1),
                lambda: update(name, models[1]),
                lambda: kill_one(name),
                lambda: (own.stop(), own.start()),
                lambda: weights(name, 0.5, 0.5),
                lambda: update(name, models[2]),
                lambda: kill_one(name),
            ]
            for turn, step in enumerate(steps):
                share = REQUESTS * (turn + 1) // (len(steps) + 2)
                until(lambda: len(load.asked) >= share, "requests go on", 240)
                step()
        took = time.monotonic() - began
        assert len(load.asked) == REQUESTS
        print(
            f"{REQUESTS} requests in {took:.1f} s; {len(load.failed)} inside {len(kills)} killed instances; "
            f"tried again while there was no service: {dict(load.retried)}"
        )
        hold(load, kills)
        assert len(load.failed) <= CONNECTIONS * len(kills)
        until(lambda: len(healthy(hosted, name)) == 4, "all instances are there", 60)
        turns = {hosted.tell(name, "echo")["environment"]["TURN"] for _ in range(16)}
        assert turns == {"2"}
