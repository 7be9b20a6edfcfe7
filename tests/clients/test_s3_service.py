"""Belljar's own S3 by real clients: boto3 (every operation, both styles of address, presigned
URLs, checksums), the AWS CLI, s5cmd; and by requests that no client would send."""

import base64
import hashlib
import http.client
import itertools
import os
import random
import subprocess
import sys
import time
import urllib.parse
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

NUMBERS = itertools.count(1)
PART = 5 << 20
KEYS = [
    "plain",
    "a/b/c",
    "a//b",
    "/leading",
    "trailing/",
    "..",
    "../../etc/passwd",
    "a/../b",
    "./x",
    "sp ace+plus%25&amp;=?#",
    "ümläut/日本語/😀",
    "quote'\"<>\\",
    "x" * 1024,
]


@pytest.fixture(scope="module")
def s3(service):
    return service.client("s3", config=Config(s3={"addressing_style": "path"}))


@pytest.fixture
def bucket(s3):
    name = f"bucket-{os.getpid()}-{next(NUMBERS)}"
    s3.create_bucket(Bucket=name)
    return name


def some(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def code(call, *args, **kwargs) -> tuple[str, int]:
    """The error's code and HTTP status."""
    with pytest.raises(ClientError) as caught:
        call(*args, **kwargs)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def read(s3, bucket, key, **more) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def names(s3, bucket, **query) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **query)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def test_buckets(s3, bucket):
    listed = [b["Name"] for b in s3.list_buckets()["Buckets"]]
    assert bucket in listed
    head = s3.head_bucket(Bucket=bucket)
    region = head["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"]
    assert region == s3.meta.region_name
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] in (None, region)
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert code(s3.head_bucket, Bucket=bucket, ExpectedBucketOwner="111122223333") == ("403", 403)
    assert code(s3.head_bucket, Bucket="no-such-bucket-here") == ("404", 404)
    assert code(s3.list_objects_v2, Bucket="no-such-bucket-here") == ("NoSuchBucket", 404)
    assert code(s3.get_bucket_tagging, Bucket=bucket) == ("NoSuchTagSet", 404)
    tags = [{"Key": "team", "Value": "vision"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert code(s3.delete_bucket, Bucket=bucket) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    assert code(s3.head_bucket, Bucket=bucket) == ("404", 404)
    listed = [b["Name"] for b in s3.list_buckets()["Buckets"]]
    assert bucket not in listed


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 300_000])
def test_what_is_put_is_got(s3, bucket, size):
    body = some(size)
    put = s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=body,
        ContentType="text/x-test",
        CacheControl="no-cache",
        ContentDisposition="attachment; filename=x",
        ContentEncoding="identity",
        ContentLanguage="de",
        Expires="Wed, 25 Nov 2026 03:00:00 GMT",
        Metadata={"name": "value", "Other": "x"},
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId="a-key",
        StorageClass="STANDARD_IA",
        Tagging="a=1&b=zwei%20drei",
    )
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert put["ServerSideEncryption"] == "aws:kms"
    for got in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        assert got["ContentLength"] == size
        assert got["ETag"] == put["ETag"]
        assert got["ContentType"] == "text/x-test"
        assert got["CacheControl"] == "no-cache"
        assert got["ContentDisposition"] == "attachment; filename=x"
        assert got["ContentEncoding"] == "identity"
        assert got["ContentLanguage"] == "de"
        assert got["ExpiresString"] == "Wed, 25 Nov 2026 03:00:00 GMT"
        assert got["Metadata"] == {"name": "value", "other": "x"}
        assert got["StorageClass"] == "STANDARD_IA"
        assert got["SSEKMSKeyId"] == "a-key"
        if "Body" in got:
            assert got["Body"].read() == body
            assert got["TagCount"] == 2
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (listed["Size"], listed["ETag"]) == (size, put["ETag"])


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_data(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert read(s3, bucket, key) == key.encode()
    assert names(s3, bucket) == [key]
    assert [c["Key"] for c in s3.list_objects(Bucket=bucket)["Contents"]] == [key]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert read(s3, bucket, "copy") == key.encode()
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    assert [d["Key"] for d in deleted["Deleted"]] == [key]
    assert code(s3.get_object, Bucket=bucket, Key=key) == ("NoSuchKey", 404)


def test_a_key_has_an_end(s3, bucket):
    assert code(s3.put_object, Bucket=bucket, Key="ä" * 513, Body=b"")[0] == "KeyTooLongError"


def test_ranges(s3, bucket):
    for body in (some(1000), some(2_000_000)):
        s3.put_object(Bucket=bucket, Key="k", Body=body)
        size = len(body)
        for range_, expected in [
            ("bytes=0-0", body[:1]),
            ("bytes=10-19", body[10:20]),
            ("bytes=500-", body[500:]),
            ("bytes=-7", body[-7:]),
            (f"bytes=0-{size * 2}", body),
        ]:
            got = s3.get_object(Bucket=bucket, Key="k", Range=range_)
            assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
            assert got["Body"].read() == expected, range_
            assert got["ContentRange"].endswith(f"/{size}")
            head = s3.head_object(Bucket=bucket, Key="k", Range=range_)
            assert head["ContentLength"] == len(expected)
        beyond = code(s3.get_object, Bucket=bucket, Key="k", Range=f"bytes={size}-")
        assert beyond == ("InvalidRange", 416)


def test_conditions(s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    failed = ("PreconditionFailed", 412)
    assert code(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*") == failed
    assert code(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfMatch='"0"') == failed
    missing = code(s3.put_object, Bucket=bucket, Key="no", Body=b"2", IfMatch=first)
    assert missing == ("NoSuchKey", 404)
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=first)["ETag"]
    assert read(s3, bucket, "k", IfMatch=second) == b"2"
    assert code(s3.get_object, Bucket=bucket, Key="k", IfMatch=first) == failed
    assert code(s3.get_object, Bucket=bucket, Key="k", IfNoneMatch=second) == ("304", 304)
    assert code(s3.head_object, Bucket=bucket, Key="k", IfNoneMatch=second) == ("304", 304)
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    not_modified = code(s3.get_object, Bucket=bucket, Key="k", IfModifiedSince=modified)
    assert not_modified == ("304", 304)
    assert read(s3, bucket, "k", IfUnmodifiedSince=modified) == b"2"
    assert code(s3.delete_object, Bucket=bucket, Key="k", IfMatch=first) == failed
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=second)
    s3.delete_object(Bucket=bucket, Key="k")


def test_only_one_of_many_makes_an_object(s3, bucket):
    def put(number):
        try:
            s3.put_object(Bucket=bucket, Key="k", Body=b"%d" % number, IfNoneMatch="*")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed"
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [n for n in pool.map(put, range(16)) if n is not None]
    assert len(winners) == 1
    assert read(s3, bucket, "k") == b"%d" % winners[0]


def checksum(algorithm: str, body: bytes) -> str:
    """By Python's own libraries, where it has them."""
    digest = {
        "CRC32": lambda: zlib.crc32(body).to_bytes(4, "big"),
        "SHA1": lambda: hashlib.sha1(body).digest(),
        "SHA256": lambda: hashlib.sha256(body).digest(),
    }[algorithm]()
    return base64.b64encode(digest).decode()


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
@pytest.mark.parametrize("size", [5, 200_000])
def test_checksums(s3, bucket, algorithm, size):
    body, member = some(size), f"Checksum{algorithm}"
    right = checksum(algorithm, body)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)
    assert put[member] == right
    assert put["ChecksumType"] == "FULL_OBJECT"
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == body
    assert got[member] == right
    assert member not in s3.head_object(Bucket=bucket, Key="k")
    attributes = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectSize", "ETag", "StorageClass"]
    )
    assert attributes["Checksum"][member] == right
    assert attributes["ObjectSize"] == size
    assert attributes["StorageClass"] == "STANDARD"
    wrong = {member: checksum(algorithm, b"other")}
    assert code(s3.put_object, Bucket=bucket, Key="new", Body=body, **wrong) == ("BadDigest", 400)
    bad = code(s3.put_object, Bucket=bucket, Key="new", Body=body, **{member: "nonsense"})
    assert bad == ("InvalidRequest", 400)
    md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    assert code(s3.put_object, Bucket=bucket, Key="new", Body=body, ContentMD5=md5)[0] == "BadDigest"
    assert names(s3, bucket) == ["k"]


def test_a_client_without_checksums_gets_one(service, bucket):
    config = Config(request_checksum_calculation="when_required")
    s3 = service.client("s3", config=config)
    s3.put_object(Bucket=bucket, Key="k", Body=b"123456789")
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["ChecksumCRC64NVME"] == base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode()


def test_listings(s3, bucket):
    keys = [f"{a}/{b}" for a in ("x", "y", "z") for b in range(7)] + ["top", "zz"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    expected = sorted(keys)
    assert names(s3, bucket) == expected
    assert names(s3, bucket, PaginationConfig={"PageSize": 3}) == expected
    assert names(s3, bucket, Prefix="y/") == [f"y/{n}" for n in range(7)]
    assert names(s3, bucket, StartAfter="z/3") == ["z/4", "z/5", "z/6", "zz"]
    for size in (1, 2, 1000):
        for operation in ("list_objects", "list_objects_v2"):
            pages = list(
                s3.get_paginator(operation).paginate(
                    Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size}
                )
            )
            found = [k["Key"] for page in pages for k in page.get("Contents", [])]
            prefixes = [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", [])]
            assert (found, prefixes) == (["top", "zz"], ["x/", "y/", "z/"]), (operation, size)
    first = s3.list_objects(Bucket=bucket, MaxKeys=2)
    assert first["IsTruncated"] and [c["Key"] for c in first["Contents"]] == expected[:2]
    second = s3.list_objects(Bucket=bucket, MaxKeys=2, Marker=expected[1])
    assert [c["Key"] for c in second["Contents"]] == expected[2:4]
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    wrong = code(s3.list_objects_v2, Bucket=bucket, ContinuationToken="nonsense")
    assert wrong == ("InvalidArgument", 400)
    owner = s3.list_objects_v2(Bucket=bucket, FetchOwner=True, MaxKeys=1)["Contents"][0]["Owner"]
    assert len(owner["ID"]) == 64


def test_deletions_in_batches(s3, bucket):
    for n in range(20):
        s3.put_object(Bucket=bucket, Key=f"k{n}", Body=b"x")
    objects = [{"Key": f"k{n}"} for n in range(10)] + [{"Key": "never-was"}]
    done = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert len(done["Deleted"]) == 11 and "Errors" not in done
    quiet = {"Objects": [{"Key": "k10"}, {"Key": "k11", "ETag": '"0"'}], "Quiet": True}
    done = s3.delete_objects(Bucket=bucket, Delete=quiet)
    assert "Deleted" not in done
    assert [e["Code"] for e in done["Errors"]] == ["PreconditionFailed"]
    assert len(names(s3, bucket)) == 9


def test_tags(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    tags = [{"Key": "a", "Value": "1"}, {"Key": "ü", "Value": ""}]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags
    twice = {"TagSet": [tags[0], tags[0]]}
    assert code(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=twice)[0] == "InvalidTag"
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []


@pytest.mark.parametrize("size", [10, 200_000])
def test_copies(s3, bucket, size):
    body = some(size)
    s3.put_object(Bucket=bucket, Key="a", Body=body, Metadata={"m": "1"}, Tagging="t=1")
    source = {"Bucket": bucket, "Key": "a"}
    s3.copy_object(Bucket=bucket, Key="b", CopySource=source)
    replaced = {"MetadataDirective": "REPLACE", "Metadata": {"m": "2"}, "ContentType": "x/y"}
    s3.copy_object(Bucket=bucket, Key="c", CopySource=source, **replaced)
    copied = s3.copy_object(Bucket=bucket, Key="d", CopySource=source, ChecksumAlgorithm="SHA256")
    assert copied["CopyObjectResult"]["ChecksumSHA256"] == checksum("SHA256", body)
    assert code(s3.copy_object, Bucket=bucket, Key="a", CopySource=source)[0] == "InvalidRequest"
    s3.copy_object(Bucket=bucket, Key="a", CopySource=source, **replaced)
    s3.delete_object(Bucket=bucket, Key="a")
    for key, metadata in [("b", "1"), ("c", "2"), ("d", "1")]:
        assert read(s3, bucket, key) == body
        assert s3.head_object(Bucket=bucket, Key=key)["Metadata"] == {"m": metadata}
        assert len(s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]) == 1
    assert code(s3.copy_object, Bucket=bucket, Key="x", CopySource=source) == ("NoSuchKey", 404)
    unmet = code(
        s3.copy_object,
        Bucket=bucket,
        Key="x",
        CopySource={"Bucket": bucket, "Key": "b"},
        CopySourceIfMatch='"0"',
    )
    assert unmet == ("PreconditionFailed", 412)


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [(None, None), ("CRC32", "FULL_OBJECT"), ("CRC32", "COMPOSITE"), ("SHA256", "COMPOSITE")],
)
def test_uploads_in_parts(s3, bucket, algorithm, kind):
    more = {"ChecksumAlgorithm": algorithm, "ChecksumType": kind} if algorithm else {}
    sent = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    bodies = [some(PART, 1), some(PART + 1, 2), some(17, 3)]
    created = s3.create_multipart_upload(Bucket=bucket, Key="k", Metadata={"a": "b"}, **more)
    upload = {"Bucket": bucket, "Key": "k", "UploadId": created["UploadId"]}
    parts = []
    for number, body in enumerate(bodies, 1):
        done = s3.upload_part(**upload, PartNumber=number, Body=body, **sent)
        part = {"PartNumber": number, "ETag": done["ETag"]}
        if algorithm:
            part[f"Checksum{algorithm}"] = done[f"Checksum{algorithm}"]
        parts.append(part)
    listed = s3.list_parts(**upload, MaxParts=2)
    assert [p["Size"] for p in listed["Parts"]] == [PART, PART + 1] and listed["IsTruncated"]
    listed = s3.list_parts(**upload, PartNumberMarker=listed["NextPartNumberMarker"])
    assert [p["Size"] for p in listed["Parts"]] == [17]
    uploads = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [u["UploadId"] for u in uploads] == [created["UploadId"]]
    assert code(s3.get_object, Bucket=bucket, Key="k")[0] == "NoSuchKey"

    def complete(parts, **more):
        return s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **more)

    assert code(complete, parts[::-1])[0] == "InvalidPartOrder"
    assert code(complete, [{**parts[0], "ETag": '"0"'}])[0] == "InvalidPart"
    assert code(complete, [{**parts[2], "PartNumber": 3}, {**parts[0], "PartNumber": 4}])[0] == "InvalidPart"
    done = complete(parts)
    md5s = b"".join(hashlib.md5(body).digest() for body in bodies)
    assert done["ETag"] == f'"{hashlib.md5(md5s).hexdigest()}-3"'
    assert complete(parts)["ETag"] == done["ETag"], "once more"
    whole = b"".join(bodies)
    assert read(s3, bucket, "k") == whole
    got = s3.get_object(Bucket=bucket, Key="k", PartNumber=2)
    assert got["Body"].read() == bodies[1] and got["PartsCount"] == 3
    assert read(s3, bucket, "k", Range=f"bytes={PART - 3}-{PART + 5}") == whole[PART - 3 : PART + 6]
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["Metadata"] == {"a": "b"} and head["ContentLength"] == len(whole)
    if kind == "FULL_OBJECT":
        assert head["ChecksumCRC32"] == checksum("CRC32", whole)
    elif kind == "COMPOSITE":
        digests = b"".join(base64.b64decode(checksum(algorithm, body)) for body in bodies)
        assert head[f"Checksum{algorithm}"] == checksum(algorithm, digests) + "-3"
        attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"])
        assert attributes["ObjectParts"]["TotalPartsCount"] == 3
    else:
        assert "ChecksumCRC64NVME" in head


def test_uploads_that_do_not_become_objects(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    upload = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**upload, PartNumber=n, Body=b"small")["ETag"]}
        for n in (1, 2)
    ]
    small = code(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts})
    assert small == ("EntityTooSmall", 400)
    assert code(s3.delete_bucket, Bucket=bucket)[0] == "BucketNotEmpty"
    s3.abort_multipart_upload(**upload)
    for call in (s3.abort_multipart_upload, s3.list_parts):
        assert code(call, **upload) == ("NoSuchUpload", 404)
    gone = code(s3.upload_part, **upload, PartNumber=1, Body=b"x")
    assert gone == ("NoSuchUpload", 404)
    upload["UploadId"] = "../../x"
    assert code(s3.upload_part, **upload, PartNumber=1, Body=b"x")[0] == "NoSuchUpload"
    assert code(s3.upload_part, **upload, PartNumber=10_001, Body=b"x")[0] == "InvalidArgument"
    s3.delete_bucket(Bucket=bucket)


def test_parts_made_of_objects(s3, bucket):
    body = some(PART * 2)
    s3.put_object(Bucket=bucket, Key="source", Body=body)
    source = {"Bucket": bucket, "Key": "source"}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    upload = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    parts = []
    for number, range_ in enumerate([f"bytes=0-{PART - 1}", "bytes=5-9"], 1):
        done = s3.upload_part_copy(
            **upload, PartNumber=number, CopySource=source, CopySourceRange=range_
        )
        parts.append({"PartNumber": number, "ETag": done["CopyPartResult"]["ETag"]})
    beyond = code(
        s3.upload_part_copy,
        **upload,
        PartNumber=3,
        CopySource=source,
        CopySourceRange=f"bytes=0-{PART * 2}",
    )
    assert beyond == ("InvalidArgument", 400)
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert read(s3, bucket, "k") == body[:PART] + body[5:10]


def test_files_by_boto3(s3, bucket, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(some(20_000_000))
    s3.upload_file(str(path), bucket, "k")
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"].endswith('-3"')
    s3.download_file(bucket, "k", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == path.read_bytes()
    s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy")
    assert read(s3, bucket, "copy") == path.read_bytes()


def test_virtual_hosts(service, bucket):
    # `BUCKET.localhost` is this machine to every resolver that follows RFC 6761; not to all.
    port = urllib.parse.urlsplit(service.endpoint).port
    endpoint = f"http://localhost:{port}"
    s3 = service.client(
        "s3", endpoint_url=endpoint, config=Config(s3={"addressing_style": "virtual"})
    )
    hosts = []

    def send_here(request, **_):
        url = urllib.parse.urlsplit(request.url)
        hosts.append(url.netloc)
        request.headers["Host"] = url.netloc
        request.url = url._replace(netloc=f"127.0.0.1:{port}").geturl()

    s3.meta.events.register("before-send.s3", send_here)
    s3.put_object(Bucket=bucket, Key="a/../k", Body=b"virtual")
    assert read(s3, bucket, "a/../k") == b"virtual"
    assert names(s3, bucket) == ["a/../k"]
    assert hosts[0] == f"{bucket}.localhost:{port}"


def fetch(method: str, url: str, body: bytes = b"", headers: dict | None = None) -> tuple[int, bytes]:
    """One request, as it is."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.request(method, url[url.index(parts.path, 8) :], body or None, headers or {})
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_urls(service, bucket, version):
    """Of both kinds: for us-east-1 boto3 makes those of the old one, if it is not told otherwise."""
    s3 = service.client("s3", config=Config(signature_version=version))

    def url(operation, expires=60, **params):
        given = {"Bucket": bucket, "Key": "a b/ü", **params}
        return s3.generate_presigned_url(operation, given, ExpiresIn=expires)

    assert ("X-Amz-Signature" in url("get_object")) == (version == "s3v4")
    assert fetch("PUT", url("put_object"), b"body")[0] == 200
    assert fetch("GET", url("get_object")) == (200, b"body")
    attached = url("get_object", ResponseContentType="text/x-other")
    assert fetch("GET", attached) == (200, b"body")
    status, xml = fetch("GET", url("get_object").replace("a%20b", "a%20c"))
    assert status == 403 and b"SignatureDoesNotMatch" in xml
    assert fetch("DELETE", url("get_object"))[0] == 403
    assert fetch("GET", url("get_object"), headers={"x-amz-meta-unsigned": "1"})[0] == 403
    token = service.client(
        "s3", aws_session_token="made-up", config=Config(signature_version=version)
    ).generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a b/ü"})
    status, xml = fetch("GET", token)
    assert status in (400, 403) and (b"InvalidToken" in xml or version == "s3")


def test_presigned_urls_end(service, bucket):
    s3 = service.client("s3", config=Config(signature_version="s3v4"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    given = {"Bucket": bucket, "Key": "k"}
    assert fetch("GET", s3.generate_presigned_url("get_object", given, ExpiresIn=600))[0] == 200, "the control"
    url = s3.generate_presigned_url("get_object", given, ExpiresIn=1)
    time.sleep(2.1)
    status, xml = fetch("GET", url)
    assert status == 403 and b"Request has expired" in xml
    long = s3.generate_presigned_url("get_object", given, ExpiresIn=604_801)
    status, xml = fetch("GET", long)
    assert status == 400 and b"AuthorizationQueryParametersError" in xml


def test_what_is_not_served_is_refused_by_name(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for call in (
        lambda: s3.get_bucket_acl(Bucket=bucket),
        lambda: s3.get_bucket_policy(Bucket=bucket),
        lambda: s3.get_bucket_lifecycle_configuration(Bucket=bucket),
        lambda: s3.get_bucket_website(Bucket=bucket),
        lambda: s3.list_object_versions(Bucket=bucket),
        lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}),
        lambda: s3.restore_object(Bucket=bucket, Key="k", RestoreRequest={"Days": 1}),
        lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"", WebsiteRedirectLocation="/x"),
        lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"", ObjectLockLegalHoldStatus="ON"),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        error = caught.value.response["Error"]
        assert error["Code"] == "NotImplemented", error
        assert error["Message"].startswith("Belljar does not serve "), error
    public = code(s3.put_object, Bucket=bucket, Key="k", Body=b"", ACL="public-read")
    assert public == ("AccessControlListNotSupported", 400)
    glacier = code(s3.put_object, Bucket=bucket, Key="k", Body=b"", StorageClass="GLACIER")
    assert glacier[0] == "InvalidStorageClass"
    version = code(s3.get_object, Bucket=bucket, Key="k", VersionId="abc")
    assert version == ("InvalidArgument", 400)
    assert read(s3, bucket, "k") == b"x"


def test_keys_that_are_none(service, bucket):
    wrong = service.client("s3", aws_secret_access_key="wrong")
    assert code(wrong.list_objects_v2, Bucket=bucket) == ("SignatureDoesNotMatch", 403)
    unknown = service.client("s3", aws_access_key_id="AKIAUNKNOWNUNKNOWN00")
    assert code(unknown.list_objects_v2, Bucket=bucket) == ("InvalidAccessKeyId", 403)
    token = service.client("s3", aws_session_token="made-up")
    assert code(token.list_objects_v2, Bucket=bucket) == ("InvalidToken", 400)
    status, xml = fetch("GET", f"{service.endpoint}/{bucket}")
    assert status == 403 and b"AccessDenied" in xml


def signed(service, method: str, path: str, body=b"", headers=None, payload=None, date=None):
    """A request with a right signature and any content."""
    env = service.environment
    headers = dict(headers or {})
    headers["x-amz-content-sha256"] = payload or hashlib.sha256(body).hexdigest()
    request = botocore.awsrequest.AWSRequest(method, service.endpoint + path, headers, body)
    credentials = botocore.credentials.Credentials(
        env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
    )
    auth = botocore.auth.S3SigV4Auth(credentials, "s3", env["AWS_REGION"])
    auth.payload = lambda _: headers["x-amz-content-sha256"]
    auth.add_auth(request)
    prepared = request.prepare()
    return fetch(method, service.endpoint + path, body, dict(prepared.headers))


STREAM = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", 200),
        (b"2\r\nhe\r\n3\r\nllo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", 200),
        (b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", 400),
        (b"5\r\nhello\r\n0\r\n\r\n", 400),
        (b"5\r\nhello\r\n", 400),
        (b"5\r\nhel", 400),
        (b"4\r\nhell\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", 400),
        (b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n", 400),
        (b"-1\r\nhello\r\n0\r\n\r\n", 400),
        (b"hello", 400),
    ],
)
def test_bodies_in_chunks(service, s3, bucket, body, expected):
    headers = {"x-amz-decoded-content-length": "5", "x-amz-trailer": "x-amz-checksum-crc32"}
    headers["content-encoding"] = "aws-chunked"
    status, xml = signed(service, "PUT", f"/{bucket}/k", body, headers, STREAM)
    assert status == expected, xml
    if expected == 200:
        assert read(s3, bucket, "k") == b"hello"
        assert "ContentEncoding" not in s3.head_object(Bucket=bucket, Key="k")
    else:
        assert b"<Code>" in xml and b"<RequestId>" in xml
        assert names(s3, bucket) == []


def test_bad_requests_are_the_clients_fault(service, s3, bucket):
    path = f"/{bucket}/k"
    for method, path, body, headers, payload in [
        ("PUT", path, b"x", {}, "0" * 64),
        ("PUT", path, b"x", {"x-amz-meta-large": "v" * 3000}, None),
        ("PUT", path, b"x", {"content-md5": "nonsense"}, None),
        ("PUT", path, b"x", {"x-amz-checksum-crc32": "AA=="}, None),
        ("PUT", path, b"x", {"x-amz-tagging": "a=%zz"}, None),
        ("PUT", path, b"x", {"x-amz-sdk-checksum-algorithm": "MD4"}, None),
        ("PUT", f"{path}?tagging", b"<Tagging>", {}, None),
        ("PUT", f"{path}?tagging", b"nonsense", {}, None),
        ("PUT", f"{path}?partNumber=x&uploadId=y", b"x", {}, None),
        ("POST", f"/{bucket}?delete", b"<Delete></Delete>", {}, None),
        ("POST", f"/{bucket}?delete", b"<Delete><Object/></Delete>", {}, None),
        ("POST", f"/{bucket}?delete", b"\xff\xfe", {}, None),
        ("POST", f"{path}?uploadId=y", b"<X/>", {}, None),
        ("POST", f"/{bucket}", b"x", {"content-type": "multipart/form-data; boundary=x"}, None),
        ("GET", f"/{bucket}?max-keys=-1", b"", {}, None),
        ("GET", f"/{bucket}?max-keys=x", b"", {}, None),
        ("GET", f"/{bucket}?encoding-type=rot13", b"", {}, None),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", b"", {}, None),
        ("PUT", "/UPPER", b"", {}, None),
        ("PUT", "/a..b", b"", {}, None),
        ("PATCH", path, b"", {}, None),
    ]:
        status, xml = signed(service, method, path, body, headers, payload)
        assert 400 <= status < 500 or status == 501, (method, path, status, xml)
        assert b"<Code>" in xml and b"<RequestId>" in xml, (method, path, xml)
    assert names(s3, bucket) == []


def aws(service, *words, **more) -> subprocess.CompletedProcess:
    program = Path(sys.executable).with_name("aws")
    return command(service, [program, *words], **more)


def command(service, words, stdin: bytes = b"") -> subprocess.CompletedProcess:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **service.environment}
    env["S3_ENDPOINT_URL"] = service.endpoint
    done = subprocess.run(
        [str(word) for word in words], input=stdin, capture_output=True, env=env, timeout=120
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def a_tree(folder: Path) -> Path:
    for name, size in [("a.txt", 10), ("b/c.bin", 100_000), ("b/d/ü e.bin", 12_000_000), ("z", 0)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(some(size))
    return folder


def test_the_aws_cli(service, s3, bucket, tmp_path):
    there = a_tree(tmp_path / "there")
    for path in there.rglob("*"):
        # S3 tells whole seconds: a file of this very second would look newer than its object.
        os.utime(path, (time.time() - 60,) * 2)
    aws(service, "s3", "sync", there, f"s3://{bucket}/tree", "--quiet")
    assert names(s3, bucket) == sorted(f"tree/{name}" for name in tree(there))
    again = aws(service, "s3", "sync", there, f"s3://{bucket}/tree")
    assert again.stdout == b"", "nothing is new"
    aws(service, "s3", "sync", f"s3://{bucket}/tree", tmp_path / "back", "--quiet")
    assert tree(tmp_path / "back") == tree(there)
    body = some(9_000_000)
    aws(service, "s3", "cp", "-", f"s3://{bucket}/piped", stdin=body)
    assert aws(service, "s3", "cp", f"s3://{bucket}/piped", "-").stdout == body
    aws(service, "s3", "mv", f"s3://{bucket}/piped", f"s3://{bucket}/moved")
    assert b"moved" in aws(service, "s3", "ls", f"s3://{bucket}/").stdout
    aws(service, "s3", "rm", f"s3://{bucket}/", "--recursive", "--quiet")
    aws(service, "s3", "rb", f"s3://{bucket}")
    assert code(s3.head_bucket, Bucket=bucket)[0] == "404"


def test_s5cmd(service, s3, bucket, tmp_path):
    s5cmd = Path(sys.executable).with_name("s5cmd")
    there = a_tree(tmp_path / "there")
    (there / "large").write_bytes(some(60_000_000))
    command(service, [s5cmd, "cp", f"{there}/", f"s3://{bucket}/tree/"])
    assert names(s3, bucket) == sorted(f"tree/{name}" for name in tree(there))
    command(service, [s5cmd, "cp", f"s3://{bucket}/tree/*", f"{tmp_path}/back/"])
    assert tree(tmp_path / "back") == tree(there)
    assert b"large" in command(service, [s5cmd, "ls", f"s3://{bucket}/tree/"]).stdout
    command(service, [s5cmd, "rm", f"s3://{bucket}/*"])
    assert names(s3, bucket) == []
