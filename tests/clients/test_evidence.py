"""Belljar's evidence, verified by an implementation that shares no code with it."""

import base64
import copy
import hashlib
import json
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


@pytest.fixture(scope="module")
def evidence_file(digits_job) -> Path:
    return digits_job.completed().output / "evidence/algo-1.intoto.json"


@pytest.fixture(scope="module")
def public_key_file(belljar, evidence_file) -> Path:
    return belljar.state / "keys/evidence.pub.pem"


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
