"""Jobs over several hosts: the service on one, nodes on two others, and what goes wrong between
them. The hosts are network namespaces, which takes root."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
from conftest import Belljar, program
from hosts import Hosts
from service import ROLE, Service

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="making hosts takes root")

BUCKET = "nodes"
GROUP = "/aws/sagemaker/TrainingJobs"
LOST_WITHIN = 15
"""Seconds."""
BUSY = 30
"""Seconds that a machine with much other work may need besides."""
SO_RCVBUFFORCE = 33


class Node:
    """`belljar node join` on a host of its own, with a state of its own."""

    def __init__(self, belljar: Belljar, hosts: Hosts, number: int):
        self.belljar, self.hosts, self.number = belljar, hosts, number
        self.state = belljar.new_folder(f"node{number}")
        self.ticket = self.state / "ticket"
        belljar.must("node", "add", f"host-{number}", "--ticket", self.ticket)
        self.log = self.state / "log"
        self.key = self.state / "keys/evidence.pub.pem"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        said = len(self.said)
        words = ["node", "join", self.ticket, "--address", self.hosts.address(self.number)]
        with self.hosts.inside(f"host{self.number}"), self.log.open("ab") as log:
            self.process = self.belljar.popen(*words, state=self.state, stdout=log, stderr=log)
        until(lambda: "joined" in self.said[said:], "the node joins", 60)

    @property
    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def end(self, how: int) -> None:
        self.process.send_signal(how)
        self.process.wait(timeout=30)

    def runs(self) -> bool:
        """Whether anything of an instance is there."""
        jobs = self.state / "jobs"
        return jobs.exists() and any(jobs.iterdir())


def until(condition, what: str, timeout: float) -> float:
    """Waits; returns how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout, f"not within {timeout} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The hosts, the service on the first of them, in which this thread is too, and the nodes."""
    root = tmp_path_factory.mktemp("root")
    (root / "bin").mkdir()
    subprocess.run(["cp", program("BELLJAR_PROBE", "target/static/*/release/probe"), root / "bin/probe"], check=True)
    folder = tmp_path_factory.mktemp("nodes")
    folder.chmod(0o755)
    belljar, hosts = Belljar("root", folder), Hosts(3)
    service, nodes = Service(belljar, listen=f"{hosts.address(1)}:0"), []
    with contextlib.ExitStack() as stack:
        stack.callback(hosts.remove)
        stack.enter_context(hosts.inside("host1"))
        service.start()
        stack.callback(service.stop)
        for number in (2, 3):
            node = Node(belljar, hosts, number)
            image = belljar.run("image", "import", root, "--tag", "probe", state=node.state)
            assert image.returncode == 0, image.stderr
            node.start()
            stack.callback(node.end, signal.SIGTERM)
            nodes.append(node)
        belljar.must("image", "import", root, "--tag", "probe")
        service.client("s3").create_bucket(Bucket=BUCKET)
        yield belljar, hosts, service, nodes


def create(service: Service, name: str, instances: int, *arguments: str, **changes) -> None:
    service.client("sagemaker").create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={
            "TrainingImage": "probe",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/probe"],
            "ContainerArguments": list(arguments),
        },
        RoleArn=f"arn:aws:iam::123456789012:role/{ROLE}",
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": instances, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        EnableNetworkIsolation=True,
        **changes,
    )


def lines(service: Service, job: str, host: str) -> list[str]:
    """What an instance printed, in all attempts."""
    logs, found = service.client("logs"), []
    streams = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{job}/{host}-")
    for stream in streams["logStreams"]:
        where = {"logGroupName": GROUP, "logStreamName": stream["logStreamName"], "startFromHead": True}
        found += [event["message"] for event in logs.get_log_events(**where)["events"]]
    return found


def is_training(service: Service, job: str) -> bool:
    seen = service.client("sagemaker").describe_training_job(TrainingJobName=job)
    return seen["SecondaryStatus"] == "Training"


class Tap:
    """All that goes over the switch while it is open."""

    def __init__(self, hosts: Hosts):
        with hosts.inside("switch"):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        # This thread may be kept from the processor for longer than the usual room is enough for.
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.settimeout(0.1)
        self.seen, self.open = [], True
        self.thread = threading.Thread(target=self.listen)

    def listen(self) -> None:
        while True:
            try:
                self.seen.append(self.socket.recv(65536))
            except TimeoutError:
                if not self.open:
                    return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.open = False
        self.thread.join()
        self.socket.close()

    def saw(self, text: bytes) -> bool:
        return any(text in packet for packet in self.seen)


@pytest.mark.parametrize("instances", [2, 3])
def test_instances_of_several_hosts_meet(world, instances):
    belljar, hosts, service, nodes = world
    name = f"meet-{instances}"
    with Tap(hosts) as tap:
        create(service, name, instances, "meet", "7000")
        seen = service.wait(name, 60)
        # The control: what is said in clear on this wire is seen.
        with hosts.inside("host2"), socket.create_connection((hosts.address(1), port(service))) as plain:
            plain.sendall(b"GET /said-in-clear HTTP/1.0\r\n\r\n")
            plain.recv(1)
    assert seen["TrainingJobStatus"] == "Completed", (seen, [node.said for node in nodes])
    assert tap.saw(b"said-in-clear")
    assert not tap.saw(b"algo-1") and not tap.saw(b"algo-2")
    folder = belljar.new_folder("evidence")
    s3 = service.client("s3")
    for host in ["job", *(f"algo-{n}" for n in range(1, instances + 1))]:
        s3.download_file(BUCKET, f"out/{name}/evidence/{host}.intoto.json", str(folder / f"{host}.intoto.json"))
    keys = [belljar.state / "keys/evidence.pub.pem", *(node.key for node in nodes[: instances - 1])]
    given = [word for key in keys for word in ("--key", key)]
    verdict = belljar.must("evidence", "verify", folder / "job.intoto.json", *given)
    assert verdict.startswith("VALID") and "WireGuard" in verdict, verdict
    # Without the other machines' keys it does not hold.
    assert belljar.run("evidence", "verify", folder / "job.intoto.json").returncode == 1


def port(service: Service) -> int:
    return int(service.endpoint.rsplit(":", 1)[1])


def test_what_instances_leave_on_other_hosts_is_in_the_archive(world):
    _, _, service, nodes = world
    create(service, "left", 3, "fill", "/opt/ml/model/weights", "100000")
    seen = service.wait("left", 60)
    assert seen["TrainingJobStatus"] == "Completed", seen
    archive = service.client("s3").get_object(Bucket=BUCKET, Key="out/left/output/model.tar.gz")
    listed = subprocess.run(["tar", "tz"], input=archive["Body"].read(), capture_output=True, check=True)
    # They left the same, so it is there once.
    assert [n for n in listed.stdout.decode().split() if not n.endswith("/")] == ["weights"]
    until(lambda: not any(node.runs() for node in nodes), "the nodes clear what is over", 60)


def test_a_job_goes_on_while_the_service_is_away(world):
    _, _, service, _ = world
    create(service, "away", 3, "tick", "30", "200")
    until(lambda: is_training(service, "away"), "it trains", 60)
    service.kill()
    time.sleep(4)
    service.options = ("--listen", service.endpoint.removeprefix("http://"))
    service.start()
    seen = service.wait("away", 60)
    assert seen["TrainingJobStatus"] == "Completed", seen
    for host in ("algo-1", "algo-2", "algo-3"):
        ticks = [line for line in lines(service, "away", host) if line.startswith("tick ")]
        assert ticks == [f"tick {n}" for n in range(1, 31)], host


def test_a_host_that_was_cut_off_is_given_up_and_its_late_attempt_fenced(world):
    _, hosts, service, nodes = world
    create(service, "cut", 3, "tick", "60", "250", RetryStrategy={"MaximumRetryAttempts": 1})
    until(lambda: is_training(service, "cut"), "it trains", 60)
    until(lambda: nodes[1].runs(), "the node runs it", 60)
    hosts.plug(3, "down")

    def restarted() -> bool:
        seen = service.client("sagemaker").describe_training_job(TrainingJobName="cut")
        return any(t["Status"] == "Restarting" for t in seen["SecondaryStatusTransitions"])

    until(restarted, "the loss is noticed", LOST_WITHIN + BUSY)
    # Alone, it goes on: nobody could tell it otherwise.
    assert nodes[1].runs()
    hosts.plug(3, "up")
    until(lambda: not nodes[1].runs(), "the late instance is ended", 60)
    assert "no longer wanted" in nodes[1].said or "refuses" in nodes[1].said, nodes[1].said
    seen = service.wait("cut", 60)
    assert seen["TrainingJobStatus"] == "Completed", seen
    # Of the attempt that was given up nothing was added after its end.
    ticks = [line for line in lines(service, "cut", "algo-3") if line.startswith("tick ")]
    assert ticks.count("tick 60") == 1, ticks


def test_a_short_cut_is_survived(world):
    _, hosts, service, nodes = world
    create(service, "short", 3, "tick", "30", "200")
    until(lambda: is_training(service, "short"), "it trains", 60)
    hosts.plug(2, "down")
    time.sleep(3)
    hosts.plug(2, "up")
    seen = service.wait("short", 60)
    assert seen["TrainingJobStatus"] == "Completed", (seen, nodes[0].said)
    for host in ("algo-1", "algo-2", "algo-3"):
        ticks = [line for line in lines(service, "short", host) if line.startswith("tick ")]
        assert ticks == [f"tick {n}" for n in range(1, 31)], host


def test_the_loss_of_a_node_ends_the_job_and_leaves_nothing(world):
    _, _, service, nodes = world
    create(service, "lost", 3, "sleep", "300")
    until(lambda: is_training(service, "lost"), "it trains", 60)
    nodes[1].end(signal.SIGKILL)
    began = time.monotonic()
    seen = service.wait("lost", 60)
    took = time.monotonic() - began
    assert seen["TrainingJobStatus"] == "Failed" and "algo-3" in seen["FailureReason"], seen
    # Ten more seconds are those of the others between TERM and KILL.
    assert took < LOST_WITHIN + 10 + BUSY, took
    until(lambda: not nodes[0].runs(), "the other node's instance is ended", 60)
    nodes[1].start()
    until(lambda: not nodes[1].runs(), "what the killed node left is swept", 60)


def test_a_node_without_its_ticket_is_refused(world):
    belljar, hosts, _, nodes = world
    ticket = belljar.folder / "forged"
    ticket.touch(mode=0o600)
    ticket.write_text(nodes[0].ticket.read_text().replace('"token":"', '"token":"x'))
    with hosts.inside("host2"):
        done = belljar.run(
            "node", "join", ticket, "--address", hosts.address(2), state=belljar.new_folder("forged"), timeout=60
        )
    assert done.returncode != 0 and "not valid" in done.stderr, done.stderr


def test_a_ticket_that_others_can_read_is_refused(world):
    belljar, hosts, _, nodes = world
    assert nodes[0].ticket.stat().st_mode & 0o077 == 0
    ticket = belljar.folder / "shown"
    ticket.touch(mode=0o644)
    ticket.write_text(nodes[0].ticket.read_text())
    done = belljar.run("node", "join", ticket, "--address", hosts.address(2), state=belljar.new_folder("shown"), timeout=60)
    assert done.returncode != 0 and "chmod 600" in done.stderr, done.stderr


def test_what_no_node_would_ask_is_refused(world):
    """Whatever is wrong, the answer says nothing of what is there."""
    _, _, service, nodes = world
    ticket = json.loads(nodes[0].ticket.read_text())
    trust = ssl.create_default_context(cadata=ticket["certificate"])
    host, number = service.endpoint.removeprefix("http://").split(":")
    own = f"Bearer {ticket['token']}"
    # A key that is valid, and not that of the attempt.
    root = "Bearer {AWS_ACCESS_KEY_ID}:{AWS_SECRET_ACCESS_KEY}".format_map(service.environment)
    assert (service.state / "jobs/meet-2/instances/algo-2").is_dir()
    for method, path, token, status in [
        ("POST", "/nodes/host-2", None, 401),
        ("POST", "/nodes/host-2", "Bearer ", 401),
        ("POST", "/nodes/host-3", own, 401),
        ("POST", "/nodes/HOST", own, 401),
        ("POST", "/nodes/..%2f..", own, 401),
        ("GET", "/nodes/host-2", own, 404),
        ("POST", "/nodes/host-2", own, 400),
        ("GET", "/instances/meet-2/1/algo-2/in/0", own, 401),
        ("GET", "/instances/meet-2/1/algo-2/in/0", "Bearer AKIA:x", 401),
        ("GET", "/instances/meet-2/1/algo-2/in/0", root, 401),
        ("PUT", "/instances/meet-2/1/algo-2/lost", root, 401),
        ("GET", "/instances/../1/algo-2/in/0", own, 404),
        ("PUT", "/instances/meet-2/1/algo-2/left", own, 401),
        ("PUT", "/instances/nobody/99999999999999999999/algo-1/report", own, 404),
        ("POST", "/", own, 404),
    ]:
        plain = socket.create_connection((host, int(number)), timeout=60)
        with trust.wrap_socket(plain, server_hostname="localhost") as stream:
            head = f"Authorization: {token}\r\n" if token is not None else ""
            request = f"{method} /_belljar/v1{path} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 2\r\nConnection: close\r\n\r\n{{]"
            stream.sendall(request.encode())
            answer = b""
            while part := stream.recv(4096):
                answer += part
        assert answer.split(b" ")[1] == str(status).encode(), (method, path, token, answer)
        assert service.state.name.encode() not in answer


def test_tokens_go_over_tls_only(world):
    _, _, service, _ = world
    with socket.create_connection(service.endpoint.removeprefix("http://").split(":")) as plain:
        plain.sendall(b"POST /_belljar/v1/nodes/host-2 HTTP/1.0\r\nAuthorization: Bearer x\r\nContent-Length: 0\r\n\r\n")
        assert b" 403 " in plain.recv(4096).split(b"\r\n")[0]
