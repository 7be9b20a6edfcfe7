"""Containers with neither isolation nor a VPC: they reach the internet through the host, as on AWS.

The host is a network namespace, and the internet another one, with an address of documentation.
"""

import contextlib
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import import_probe
from hosting import Hosting
from hosts import Hosts, ip, see_instead
from service import Service
from test_in_vpc import BUCKET, LOGS, S3, STS, evidence, job, lines, results

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces of its own")
HOST, ALSO_HOST, STRANGER = "203.0.113.1", "198.51.100.1", "203.0.113.10"
"""The host has two addresses; one of them is in the neighbour's network, which is a public one."""
NEIGHBOUR, PORT = "198.51.100.3", 8000
NAME = "stranger.example.com"
ROUTED = "192.0.2.3"
"""Beside the host on a network in which it has no address: a route leads there."""


def answer(address: str, text: bytes) -> None:
    """Answers TCP and UDP with a text, in this thread's network, until this process ends."""
    tcp, udp = socket.create_server((address, PORT)), socket.socket(type=socket.SOCK_DGRAM)
    udp.bind((address, PORT))

    def streams():
        while True:
            with contextlib.suppress(OSError), tcp.accept()[0] as one:
                one.sendall(text)

    def datagrams():
        while True:
            with contextlib.suppress(OSError):
                udp.sendto(text, udp.recvfrom(100)[1])

    for work in (streams, datagrams):
        threading.Thread(target=work, daemon=True).start()


def ask(address: str) -> bytes:
    with socket.create_connection((address, PORT), timeout=60) as one:
        return one.recv(100)


def answer_names(address: str) -> None:
    """A name server on the internet that knows one name (RFC 1035 §4)."""
    udp = socket.socket(type=socket.SOCK_DGRAM)
    udp.bind((address, 53))
    known = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split(".")) + b"\0"

    def names():
        while True:
            asked, who = udp.recvfrom(512)
            question = asked[12 : asked.index(0, 12) + 5]
            found = question == known + b"\0\1\0\1"
            flags = b"\x81\x80" if question.startswith(known) else b"\x81\x83"
            counts = b"\0\1" + bytes([0, found]) + b"\0" * 4
            record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(STRANGER) if found else b""
            udp.sendto(asked[:2] + flags + counts + question + record, who)

    threading.Thread(target=names, daemon=True).start()


@pytest.fixture(scope="module")
def service(belljar):
    hosts = Hosts(0)
    here, there = hosts.add("here"), hosts.add("there")
    with contextlib.ExitStack() as stack:
        stack.callback(hosts.remove)
        ip("-n", here, "link", "add", "wan0", "type", "veth", "peer", "name", "wan1", "netns", there)
        ends = [(here, "wan0", HOST, STRANGER, ["198.51.100.2", ALSO_HOST]), (there, "wan1", STRANGER, HOST, [NEIGHBOUR])]
        routers = {here: NEIGHBOUR, there: ALSO_HOST}
        for name, link, own, other, near in ends:
            for address in [f"{own}/32", *(f"{address}/24" for address in near)]:
                ip("-n", name, "addr", "add", address, "dev", link)
            ip("-n", name, "link", "set", link, "up")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "route", "add", other, "via", routers[name], "src", own)
        ip("-n", there, "addr", "add", f"{ROUTED}/32", "dev", "wan1")
        ip("-n", here, "route", "add", "192.0.2.0/24", "dev", "wan0")
        with hosts.inside("there"):
            answer(STRANGER, b"stranger\n")
            answer(NEIGHBOUR, b"neighbour\n")
            answer(ROUTED, b"neighbour\n")
            answer_names(STRANGER)
        stack.enter_context(hosts.inside("here"))
        answer(HOST, b"host\n")
        answer(ALSO_HOST, b"host\n")
        # The controls: what follows is there, for whoever is on the host.
        there = [ask(address) for address in (STRANGER, NEIGHBOUR, ROUTED, HOST, ALSO_HOST)]
        assert there == [b"stranger\n", b"neighbour\n", b"neighbour\n", b"host\n", b"host\n"]
        conf = belljar.new_folder("conf") / "resolv.conf"
        conf.write_text(f"nameserver {STRANGER}\n")
        conf.chmod(0o644)

        def start() -> Service:
            """On a host that asks the stranger for names."""
            see_instead(Path("/etc/resolv.conf"), conf)
            with hosts.inside("here"):
                return Service(belljar, state=belljar.new_folder("open")).start()

        with ThreadPoolExecutor(1) as once:
            service = once.submit(start).result()
        import_probe(belljar, service.state)
        stack.callback(service.stop)
        service.client("s3").create_bucket(Bucket=BUCKET)
        yield service


def told(service, name: str, *arguments: str, **changes) -> list[str]:
    service.client("sagemaker").create_training_job(**job(name, None, *arguments, **changes))
    described = service.wait(name)
    said = lines(service, name)
    assert described["TrainingJobStatus"] == "Completed", (described.get("FailureReason"), said)
    return said


OWN = f"{HOST}:{PORT} udp:{HOST}:{PORT} {ALSO_HOST}:{PORT} udp:{ALSO_HOST}:{PORT}"
ASK = f"ask {STRANGER}:{PORT} udp:{STRANGER}:{PORT} {NEIGHBOUR}:{PORT} {ROUTED}:{PORT} {OWN} 169.254.1.1:80"


def answers(said: list[str]) -> list[str]:
    """What `probe ask` had from each of its targets."""
    asked = [line.split(" ") for line in said if f":{PORT} " in line or ":80 " in line]
    return [words[-1] for words in asked]


def test_it_reaches_the_internet_and_neither_the_host_nor_its_neighbours(service):
    said = told(service, "open", "in-turn", ASK, f"connect {S3}:443 {STS}:443 {LOGS}:443", "cat /proc/net/dev")
    assert answers(said) == ["stranger"] * 2 + ["-"] * 7, said
    assert results(said) == {f"{S3}:443": "ok", f"{STS}:443": "ok", f"{LOGS}:443": "ok"}
    devices = [line.split(":")[0].strip() for line in said if line.count(" 0 ") > 3]
    assert devices == ["lo"], said
    assert any("this container can reach the internet" in line for line in said)
    verdict = evidence(service, "open")
    assert verdict.returncode != 0 and "NOT A SEALED RUN" in verdict.stdout
    assert "It was not isolated: it could reach the internet through the host." in verdict.stdout


def test_names_are_asked_of_the_hosts_servers(service):
    said = told(service, "named", "in-turn", f"ask {NAME}:{PORT}", f"connect no.example.com:{PORT}")
    assert answers([line for line in said if line.startswith(NAME)]) == ["stranger"], said
    assert results(said) == {f"no.example.com:{PORT}": "unresolved"}, said


def test_one_that_is_isolated_reaches_nothing(service):
    said = told(service, "shut", *ASK.split(), f"{NAME}:{PORT}", EnableNetworkIsolation=True)
    assert answers(said) == ["-"] * 10, said
    assert "VALID" in evidence(service, "shut").stdout


def test_an_endpoint_reaches_the_internet(service):
    hosting = Hosting(service)
    model = hosting.model_of(PrimaryContainer={"Image": "probe"}, EnableNetworkIsolation=False)
    name = hosting.create(hosting.config(model))
    hosting.wait(name)
    said = hosting.invoke(name, ASK)["Body"].decode().splitlines()
    assert answers(said) == ["stranger"] * 2 + ["-"] * 7, said
    hosting.delete(name)


def test_instances_reach_their_peers_and_the_internet(service):
    said = told(service, "open-two", "in-turn", "meet 5000", f"ask {STRANGER}:{PORT}", instances=2)
    assert answers(said) == ["stranger"] * 2, said
    assert len([line for line in said if line.startswith("met ")]) == 4
