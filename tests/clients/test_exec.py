"""`belljar exec`: unmodified programs, which know no endpoint, in a place where all of AWS is the
service. Both SageMaker SDKs call STS, and their makers, at names that are built in."""

import subprocess
import time
from pathlib import Path

import pytest
from interpreter import OWN, SDK2, SDK3, interpreter

TELEMETRY = "https://sm-pysdk-t-us-east-1.s3.us-east-1.amazonaws.com/telemetry?x=1"


def python(service, script: str, venv: Path = OWN, extra: dict[str, str] | None = None):
    """What a script prints that knows nothing of Belljar."""
    program, packages = interpreter(service, venv)
    done = service.exec([program, "-c", script], extra={**packages, **(extra or {})})
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def test_boto3_without_any_setting(service):
    script = """
import boto3
print(boto3.client("sts").get_caller_identity()["Account"])
s3 = boto3.client("s3")
for bucket in ("exec-plain", "exec.with.dots"):
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"x" * 100_000)
    assert s3.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"x" * 100_000
    print([o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]])
print(s3.meta.endpoint_url, s3.generate_presigned_url("get_object", {"Bucket": "exec-plain", "Key": "a/b"}).split("?")[0])
print(boto3.client("sagemaker").list_training_jobs(NameContains="none-such")["TrainingJobSummaries"])
"""
    done = python(service, script)
    account, plain, dots, urls, jobs = done.stdout.splitlines()
    assert account.isdigit() and len(account) == 12
    assert plain == dots == "['a/b']"
    assert "https://exec-plain.s3" in urls, "by virtual host, as without any setting"
    assert jobs == "[]"
    assert done.stderr == "", "nothing was tried that is not AWS"
    # The same service, seen from outside.
    names = {bucket["Name"] for bucket in service.client("s3").list_buckets()["Buckets"]}
    assert {"exec-plain", "exec.with.dots"} <= names


def test_the_users_own_account_is_not_there(service, folder):
    """Neither its files nor its variables: a script cannot call AWS by mistake, or with its keys."""
    config = folder / "config"
    config.write_text("[default]\nregion = eu-central-1\nendpoint_url = http://192.0.2.1\n")
    theirs = {
        "AWS_CONFIG_FILE": str(config),
        "AWS_PROFILE": "work",
        "AWS_SESSION_TOKEN": "made-up",
        "AWS_ENDPOINT_URL_STS": "http://192.0.2.1",
        "HTTPS_PROXY": "http://192.0.2.1:3128",
    }
    script = "import boto3; c = boto3.client('sts'); c.get_caller_identity(); print(c.meta.endpoint_url)"
    done = python(service, script, extra=theirs)
    assert done.stdout == "https://sts.us-east-1.amazonaws.com\n"
    assert done.stderr == ""


def test_an_endpoint_that_is_built_in_works_too(service):
    script = f"import boto3; print(boto3.client('sts', endpoint_url={service.endpoint!r}).get_caller_identity()['Arn'])"
    assert python(service, script).stdout.startswith("arn:aws:iam::")


def test_what_is_not_aws_fails_at_once(service):
    began = time.monotonic()
    done = service.exec(["curl", "-sS", "https://example.com"])
    assert done.returncode == 6, done
    assert "example.com" in done.stderr
    done = service.exec(["curl", "-sS", "http://169.254.169.254/latest/meta-data/"])
    assert done.returncode == 7, done
    assert "tcp  169.254.169.254:80" in done.stderr
    # A way out that leads nowhere takes minutes.
    assert time.monotonic() - began < 60
    # The control: the same client trusts and reaches what is served.
    done = service.exec(["curl", "-sS", "https://sts.us-east-1.amazonaws.com"])
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "MissingAuthenticationToken" in done.stdout


def test_nobody_else_trusts_the_authority(service):
    """And it vouches for no name but AWS's."""
    ca = service.state / "service/ca/ca.pem"
    port = service.endpoint.rsplit(":", 1)[1]
    for name, trusted in [("sts.us-east-1.amazonaws.com", True), ("example.com", False)]:
        call = ["curl", "-sS", "--cacert", ca, "--resolve", f"{name}:{port}:127.0.0.1"]
        done = subprocess.run([*call, f"https://{name}:{port}"], capture_output=True, text=True)
        assert (done.returncode == 0) == trusted, done
    call = ["curl", "-sS", "--resolve", f"sts.us-east-1.amazonaws.com:{port}:127.0.0.1"]
    done = subprocess.run(
        [*call, f"https://sts.us-east-1.amazonaws.com:{port}"], capture_output=True, text=True
    )
    assert done.returncode == 60, f"a certificate that the host does not know: {done}"
    assert (ca.parent / "ca.key").stat().st_mode & 0o777 == 0o600


def test_without_a_service_nothing_is_run(belljar, folder):
    done = belljar.run("exec", "--", "touch", folder / "made", state=folder / "state")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no service is running on ")
    assert "hint: start one with `belljar up`" in done.stderr
    assert not (folder / "made").exists()


def test_sdk2_finds_its_default_bucket_and_phones_home_inside(service):
    script = f"""
import requests, sagemaker
session = sagemaker.Session()
print(session.default_bucket())
print(session.upload_string_as_file_body("hello", session.default_bucket(), "exec/hello"))
print(session.account_id())
print(requests.get({TELEMETRY!r}, timeout=20).status_code)
"""
    done = python(service, script, SDK2, extra={"SAGEMAKER_SUPPRESS_V2_WARNING": "1"})
    bucket, _, account, telemetry = done.stdout.splitlines()[-4:]
    assert bucket == f"sagemaker-us-east-1-{account}"
    assert 400 <= int(telemetry) < 500, "answered by the service, where there is no such bucket"
    assert "tried to reach" not in done.stderr, done.stderr
    body = service.client("s3").get_object(Bucket=bucket, Key="exec/hello")["Body"].read()
    assert body == b"hello"


def test_sdk3_finds_its_default_bucket(service):
    script = """
from sagemaker.core.helper.session_helper import Session
print(Session().default_bucket())
"""
    done = python(service, script, SDK3)
    assert done.stdout.splitlines()[-1].startswith("sagemaker-us-east-1-")
    assert "tried to reach" not in done.stderr, done.stderr
