"""Belljar's evidence, verified by an implementation that shares no code with it.

The evidence is that of BELLJAR_EVIDENCE and BELLJAR_PUBLIC_KEY, if both are set; otherwise a job
is run with BELLJAR_BIN, on the image that BELLJAR_TEST_IMAGE names.
"""

import base64
import copy
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def run_a_job(folder: Path) -> tuple[Path, Path]:
    binary = os.environ.get("BELLJAR_BIN")
    image = os.environ.get("BELLJAR_TEST_IMAGE")
    if not binary or not image:
        pytest.fail("set BELLJAR_EVIDENCE and BELLJAR_PUBLIC_KEY, or BELLJAR_BIN and BELLJAR_TEST_IMAGE")
    state, output = folder / "state", folder / "output"
    command = [binary, "--state", state, "train", "--image", image, "--output", output]
    subprocess.run([*command, "--job-name", "evidence"], check=True, timeout=120)
    return output / "evidence/evidence/algo-1.intoto.json", state / "keys/evidence.pub.pem"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    evidence, key = os.environ.get("BELLJAR_EVIDENCE"), os.environ.get("BELLJAR_PUBLIC_KEY")
    if evidence and key:
        return Path(evidence), Path(key)
    return run_a_job(tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="module")
def evidence_file(files) -> Path:
    return files[0]


@pytest.fixture(scope="module")
def public_key_file(files) -> Path:
    return files[1]


@pytest.fixture(scope="module")
def envelope(evidence_file) -> dict:
    return json.loads(evidence_file.read_bytes())


def key_of(pem: bytes, keyid: str) -> SSlibKey:
    return SSlibKey.from_crypto(load_pem_public_key(pem), keyid=keyid)


@pytest.fixture(scope="module")
def key(public_key_file, envelope) -> SSlibKey:
    return key_of(public_key_file.read_bytes(), envelope["signatures"][0]["keyid"])


def verify(envelope: dict, key: SSlibKey) -> None:
    accepted = Envelope.from_dict(copy.deepcopy(envelope)).verify([key], 1)
    assert list(accepted) == [key.keyid]


def test_the_signature_verifies(envelope, key):
    verify(envelope, key)


def test_the_key_is_named_by_its_digest(envelope, public_key_file):
    key = load_pem_public_key(public_key_file.read_bytes())
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert [s["keyid"] for s in envelope["signatures"]] == [hashlib.sha256(spki).hexdigest()]


def test_the_payload_is_an_in_toto_statement(envelope):
    assert envelope["payloadType"] == PAYLOAD_TYPE
    payload = base64.b64decode(envelope["payload"], validate=True)
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] and all(len(s["digest"]["sha256"]) == 64 for s in statement["subject"])
    canonical = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert payload == canonical.encode(), "the payload is not canonical JSON"


@pytest.mark.parametrize("member", ["payload", "sig"])
def test_any_changed_byte_fails(envelope, key, member):
    holder = envelope if member == "payload" else envelope["signatures"][0]
    content = base64.b64decode(holder[member])
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        damaged = copy.deepcopy(envelope)
        target = damaged if member == "payload" else damaged["signatures"][0]
        target[member] = base64.b64encode(changed).decode()
        with pytest.raises(VerificationError):
            verify(damaged, key)


def test_another_payload_type_fails(envelope, key):
    with pytest.raises(VerificationError):
        verify({**envelope, "payloadType": "application/json"}, key)


def test_another_key_fails(envelope, key):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    other = SSlibKey.from_crypto(Ed25519PrivateKey.generate().public_key(), keyid=key.keyid)
    with pytest.raises(VerificationError):
        verify(envelope, other)
