"""CloudWatch Logs, STS and IAM by boto3 and the AWS command line. Every answer is also held against
botocore's model, by the service itself."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from service import ROLE

NUMBERS = itertools.count(1)
DAY = 24 * 60 * 60 * 1000
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def now() -> int:
    return int(time.time() * 1000)


def refused(call, **given) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**given)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.fixture(scope="module")
def logs(service):
    return service.client("logs")


@pytest.fixture(scope="module")
def iam(service):
    return service.client("iam")


@pytest.fixture(scope="module")
def sts(service):
    return service.client("sts")


@pytest.fixture
def group(logs):
    name = f"/tests/{next(NUMBERS)}"
    logs.create_log_group(logGroupName=name, tags={"of": "tests"})
    yield name
    logs.delete_log_group(logGroupName=name)


def put(logs, group: str, stream: str, *messages: str, at: int | None = None) -> dict:
    try:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    except logs.exceptions.ResourceAlreadyExistsException:
        pass
    begun = at or now()
    events = [{"timestamp": begun + i, "message": m} for i, m in enumerate(messages)]
    return logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def test_missing_and_double_names_are_told_in_awss_words(logs, group):
    missing = "The specified log group does not exist."
    assert refused(logs.describe_log_streams, logGroupName="/none") == ("ResourceNotFoundException", missing)
    assert refused(logs.delete_log_group, logGroupName="/none")[1] == missing
    assert refused(logs.create_log_group, logGroupName=group)[0] == "ResourceAlreadyExistsException"
    assert refused(logs.get_log_events, logGroupName=group, logStreamName="none") == (
        "ResourceNotFoundException",
        "The specified log stream does not exist.",
    )


def test_all_events_are_read_in_order_by_the_loop_of_the_sdks(logs, group):
    for batch in range(3):
        put(logs, group, "s", *(f"{batch}-{i}" for i in range(10_000)), at=now() - DAY // 4 + batch)
    read, given = [], {"startTime": 0, "startFromHead": True}
    while True:
        page = logs.get_log_events(logGroupName=group, logStreamName="s", **given)
        read += page["events"]
        if given.get("nextToken") == page["nextForwardToken"]:
            break
        given["nextToken"] = page["nextForwardToken"]
    assert len(read) == 30_000
    assert [e["timestamp"] for e in read] == sorted(e["timestamp"] for e in read)
    for batch in range(3):
        ours = [e["message"] for e in read if e["message"].startswith(f"{batch}-")]
        assert ours == [f"{batch}-{i}" for i in range(10_000)]
    filtered = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    assert [e["message"] for page in filtered for e in page["events"]] == [e["message"] for e in read]


def test_the_latest_page_comes_first_without_a_start(logs, group):
    put(logs, group, "s", *"abcde")
    page = logs.get_log_events(logGroupName=group, logStreamName="s", limit=2)
    assert [e["message"] for e in page["events"]] == ["d", "e"]
    before = logs.get_log_events(logGroupName=group, logStreamName="s", nextToken=page["nextBackwardToken"])
    assert [e["message"] for e in before["events"]] == ["a", "b", "c"]
    wrong = refused(logs.get_log_events, logGroupName=group, logStreamName="s", nextToken="f/1/s")
    assert wrong == ("InvalidParameterException", "The specified nextToken is invalid.")


def test_what_is_put_has_the_services_limits(logs, group):
    late = put(logs, group, "s", "x", at=now() - 15 * DAY)
    assert late["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    early = put(logs, group, "s", "x", at=now() + 3 * DAY)
    assert early["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 0}
    stream = {"logGroupName": group, "logStreamName": "s"}
    unordered = [{"timestamp": now(), "message": "b"}, {"timestamp": now() - 9, "message": "a"}]
    code, message = refused(logs.put_log_events, **stream, logEvents=unordered)
    assert code == "InvalidParameterException" and "chronological order" in message
    long = [{"timestamp": now(), "message": "x" * (1 << 20)}]
    assert refused(logs.put_log_events, **stream, logEvents=long)[0] == "InvalidParameterException"
    put(logs, group, "s", "line \U0001f514 " + "y" * (256 << 10))


def test_filters_find_terms_and_members_and_name_what_they_cannot(logs, group):
    put(logs, group, "AllTraffic/1", "GET /ping 200", "ERROR in MainThread", '{"level": "ERROR", "code": 503}')
    put(logs, group, "other", "ERROR elsewhere")

    def found(pattern: str, **given) -> list[str]:
        page = logs.filter_log_events(logGroupName=group, filterPattern=pattern, **given)
        return [e["message"] for e in page["events"]]

    assert len(found("ERROR")) == 3
    assert len(found("ERROR", logStreamNamePrefix="AllTraffic/")) == 2
    assert found('"in MainThread" -GET') == ["ERROR in MainThread"]
    assert len(found("?GET ?elsewhere")) == 2
    assert len(found('{ $.level = "ERR*" && $.code >= 500 }')) == 1
    code, message = refused(logs.filter_log_events, logGroupName=group, filterPattern="[ip, user]")
    assert code == "InvalidParameterException" and message.startswith("Belljar does not serve")


def test_groups_have_tags_and_a_retention(logs, group):
    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    (shown,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert shown["retentionInDays"] == 7
    arn = shown["logGroupArn"]
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"of": "tests"}
    logs.tag_resource(resourceArn=arn, tags={"more": "é"})
    logs.untag_resource(resourceArn=arn, tagKeys=["of"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"more": "é"}
    logs.delete_retention_policy(logGroupName=group)
    (shown,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert "retentionInDays" not in shown
    put(logs, group, "a", "x")
    put(logs, group, "b", "y")
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=group, orderBy="LastEventTime", descending=True, PaginationConfig={"PageSize": 1}
    )
    assert [s["logStreamName"] for p in pages for s in p["logStreams"]] == ["b", "a"]


def aws(service, *words: str) -> str:
    """The AWS command line, which knows only what `belljar env` says."""
    program = Path(sys.executable).with_name("aws")
    if not program.exists():
        program = shutil.which("aws")
        assert program, "there is no aws: make venv"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    done = subprocess.run(
        [str(program), *words],
        env={**clean, **service.environment, "HOME": str(service.belljar.folder), "AWS_PAGER": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line_reads_streams_and_groups(service, logs, group):
    begun = now() - 60_000
    put(logs, group, "one", "first", "third", at=begun)
    put(logs, group, "two", "second", at=begun)
    of = ("--log-group-name", group)
    shown = json.loads(aws(service, "logs", "describe-log-streams", *of))
    assert [s["logStreamName"] for s in shown["logStreams"]] == ["one", "two"]
    words = ("logs", "filter-log-events", *of, "--query", "events[].message", "--output", "text")
    assert sorted(aws(service, *words).split()) == ["first", "second", "third"]
    assert aws(service, *words, "--filter-pattern", "second").split() == ["second"]
    page = json.loads(aws(service, "logs", "get-log-events", *of, "--log-stream-name", "one", "--limit", "1"))
    assert [e["message"] for e in page["events"]] == ["third"]


def test_a_group_is_followed_as_logs_tail_follows_it(logs, group):
    """The second version of the command line has `logs tail`; it is on no package registry, and
    this is what it asks: the same again and again, showing what it has not seen."""
    begun = now() - 60_000
    given = {"logGroupName": group, "interleaved": True, "startTime": begun}
    shown, seen = [], set()
    for turn in range(3):
        put(logs, group, f"s{turn % 2}", f"{turn}-a", f"{turn}-b", at=begun + turn)
        put(logs, group, "busy", *(f"{turn}-{i}" for i in range(1000)), at=begun + turn)
        for page in logs.get_paginator("filter_log_events").paginate(**given):
            for event in page["events"]:
                if event["eventId"] not in seen:
                    seen.add(event["eventId"])
                    shown.append(event["message"])
    assert len(shown) == len(set(shown)), "nothing is shown twice"
    assert {f"{r}-{x}" for r in range(3) for x in "ab"} <= set(shown)
    assert len(shown) == 3006


def test_callers_are_who_their_keys_say(service, sts):
    me = sts.get_caller_identity()
    account = me["Account"]
    assert me["Arn"] == f"arn:aws:iam::{account}:root" and me["UserId"] == account
    assumed = sts.assume_role(RoleArn=service.role, RoleSessionName="tests", DurationSeconds=900)
    keys = assumed["Credentials"]
    given = {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["SessionToken"],
    }
    theirs = service.client("sts", **given).get_caller_identity()
    assert theirs["Arn"] == assumed["AssumedRoleUser"]["Arn"]
    assert theirs["Arn"] == f"arn:aws:sts::{account}:assumed-role/{ROLE}/tests"
    # A key that is temporary is no key without its token, and neither with another.
    for token in ({"aws_session_token": None}, {"aws_session_token": "x" * 128}):
        client = service.client("sts", **{**given, **token})
        code, _ = refused(client.get_caller_identity)
        assert code in ("InvalidClientTokenId", "UnrecognizedClientException")
    session = sts.get_session_token()["Credentials"]
    assert session["AccessKeyId"].startswith("ASIA")
    missing = f"arn:aws:iam::{account}:role/nobody"
    assert refused(sts.assume_role, RoleArn=missing, RoleSessionName="tests") == (
        "AccessDenied",
        f"User: {me['Arn']} is not authorized to perform: sts:AssumeRole on resource: {missing}",
    )


def test_a_role_has_policies_and_an_end(service, iam, sts):
    role = iam.create_role(
        RoleName="Trainer",
        Path="/team/",
        AssumeRolePolicyDocument=json.dumps(TRUST),
        Description="trains – for tests".replace("–", "-"),
        Tags=[{"Key": "k", "Value": "v"}],
    )["Role"]
    assert role["AssumeRolePolicyDocument"] == TRUST
    shown = iam.get_role(RoleName="Trainer")["Role"]
    assert shown == role
    assert [r["RoleName"] for r in iam.list_roles(PathPrefix="/team/")["Roles"]] == ["Trainer"]
    pages = iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1})
    assert {ROLE, "Trainer"} <= {r["RoleName"] for p in pages for r in p["Roles"]}
    again = {"RoleName": "Trainer", "AssumeRolePolicyDocument": json.dumps(TRUST)}
    assert refused(iam.create_role, **again) == (
        "EntityAlreadyExists",
        "Role with name Trainer already exists.",
    )
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="Trainer", PolicyName="reads", PolicyDocument=json.dumps(policy))
    assert iam.get_role_policy(RoleName="Trainer", PolicyName="reads")["PolicyDocument"] == policy
    managed = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    iam.attach_role_policy(RoleName="Trainer", PolicyArn=managed)
    attached = iam.list_attached_role_policies(RoleName="Trainer")["AttachedPolicies"]
    assert attached == [{"PolicyName": "AmazonSageMakerFullAccess", "PolicyArn": managed}]

    simulated = iam.simulate_principal_policy(
        PolicySourceArn=role["Arn"],
        ActionNames=["s3:GetObject", "sagemaker:CreateTrainingJob", "s3:DeleteBucket"],
    )
    decisions = {r["EvalActionName"]: r["EvalDecision"] for r in simulated["EvaluationResults"]}
    assert decisions == {
        "s3:GetObject": "allowed",
        "sagemaker:CreateTrainingJob": "allowed",
        "s3:DeleteBucket": "implicitDeny",
    }
    assert refused(iam.delete_role, RoleName="Trainer")[0] == "DeleteConflict"
    iam.detach_role_policy(RoleName="Trainer", PolicyArn=managed)
    iam.delete_role_policy(RoleName="Trainer", PolicyName="reads")
    keys = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="tests")["Credentials"]
    iam.delete_role(RoleName="Trainer")
    assert refused(iam.get_role, RoleName="Trainer") == (
        "NoSuchEntity",
        "The role with name Trainer cannot be found.",
    )
    orphan = service.client(
        "sts",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    assert refused(orphan.get_caller_identity)[0] == "InvalidClientTokenId"
