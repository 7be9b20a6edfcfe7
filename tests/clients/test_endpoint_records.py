"""Models, endpoint configurations and endpoints by boto3, as records: every operation, pages,
filters, tags and refusals. Nothing here waits for an instance. Every answer is also held against
botocore's model, by the service itself."""

import datetime
import itertools

import pytest
from botocore.exceptions import ClientError
from service import ROLE, Service

NUMBERS = itertools.count(1)
ARN = "arn:aws:sagemaker:us-east-1:123456789012"
# Nothing listens there: what is asked for stays a record.
IMAGE = "127.0.0.1:1/none"


@pytest.fixture
def sagemaker(service):
    return service.client("sagemaker")


def refusal(call, **arguments) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400, answer
    return answer["Error"]["Code"], answer["Error"]["Message"]


def invalid(call, **arguments) -> str:
    code, message = refusal(call, **arguments)
    assert code == "ValidationException", (code, message)
    return message


def new(prefix: str) -> str:
    # The service is shared with other tests, whose names are not like these.
    return f"Kept{prefix}-{next(NUMBERS)}"


def model(sagemaker, name: str | None = None, **more) -> str:
    """A model of one container."""
    name = name or new("Model")
    container = {"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz", **more.pop("container", {})}
    role = f"arn:aws:iam::123456789012:role/{ROLE}"
    request = {"ModelName": name, "PrimaryContainer": container, "ExecutionRoleArn": role, **more}
    answer = sagemaker.create_model(**request)
    assert answer["ModelArn"] == f"{ARN}:model/{name.lower()}"
    return name


def variant(of: str, name: str = "AllTraffic", **more) -> dict:
    smallest = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    return {"VariantName": name, "ModelName": of, **smallest, **more}


def config(sagemaker, *variants: dict, name: str | None = None, **more) -> str:
    name = name or new("Config")
    answer = sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=list(variants), **more
    )
    assert answer["EndpointConfigArn"] == f"{ARN}:endpoint-config/{name.lower()}"
    return name


def test_a_model_from_request_to_end(sagemaker):
    name = model(sagemaker, container={"Environment": {"A": "b"}}, Tags=[{"Key": "k", "Value": "v"}])
    seen = sagemaker.describe_model(ModelName=name)
    assert seen["ModelArn"] == f"{ARN}:model/{name.lower()}"
    assert seen["EnableNetworkIsolation"] is False
    assert seen["PrimaryContainer"] == {
        "Image": IMAGE,
        "ModelDataUrl": "s3://bucket/model.tar.gz",
        "Environment": {"A": "b"},
        "Mode": "SingleModel",
    }
    age = datetime.datetime.now(datetime.UTC) - seen["CreationTime"]
    assert abs(age.total_seconds()) < 60
    assert sagemaker.list_tags(ResourceArn=seen["ModelArn"])["Tags"] == [{"Key": "k", "Value": "v"}]
    assert invalid(sagemaker.create_model, ModelName=name.upper(), PrimaryContainer={"Image": "x"}) == (
        f'Cannot create already existing model "{ARN}:model/{name.lower()}".'
    )
    sagemaker.delete_model(ModelName=name)
    missing = f'Could not find model "{ARN}:model/{name.lower()}".'
    assert invalid(sagemaker.describe_model, ModelName=name) == missing
    assert invalid(sagemaker.delete_model, ModelName=name) == missing
    gone = invalid(sagemaker.list_tags, ResourceArn=seen["ModelArn"])
    assert gone == "Requested resource not found."
    model(sagemaker, name)


def test_what_a_model_cannot_be(sagemaker):
    def said(**request):
        return invalid(sagemaker.create_model, ModelName="refused", **request)

    one = {"Image": IMAGE}
    vpc = {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert "InvalidSubnetID.NotFound: The subnet ID 'subnet-1' does not exist" in said(PrimaryContainer=one, VpcConfig=vpc)
    assert "ModelPackageName" in said(PrimaryContainer={"ModelPackageName": "p"})
    assert "Image 'oci:/etc' is not served" in said(PrimaryContainer={"Image": "oci:/etc"})
    assert "key.tar.gz" in said(PrimaryContainer={**one, "ModelDataUrl": "s3://bucket/model"})
    assert "PrimaryContainer or Containers is required" in said()
    assert "together" in said(PrimaryContainer=one, Containers=[one])
    direct = {"Mode": "Direct"}
    assert "2 to 15" in said(PrimaryContainer=one, InferenceExecutionConfig=direct)
    assert "ContainerHostname" in said(Containers=[one, one], InferenceExecutionConfig=direct)
    role = "arn:aws:iam::123456789012:role/nobody"
    assert said(PrimaryContainer=one, ExecutionRoleArn=role) == f"The role {role} does not exist."
    assert "1 validation error detected" in said(PrimaryContainer={**one, "Mode": "Both"})


def test_a_configuration_from_request_to_end(sagemaker):
    of = model(sagemaker)
    one, two = variant(of, "one"), variant(of, "two", InitialVariantWeight=3.0)
    outputs = {"OutputConfig": {"S3OutputPath": "s3://bucket/out"}}
    name = config(sagemaker, one, two, AsyncInferenceConfig=outputs)
    seen = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    assert seen["ProductionVariants"] == [{**one, "InitialVariantWeight": 1.0}, two]
    assert seen["AsyncInferenceConfig"] == outputs
    again = {"EndpointConfigName": name.lower(), "ProductionVariants": [one]}
    arn = f"{ARN}:endpoint-config/{name.lower()}"
    assert invalid(sagemaker.create_endpoint_config, **again) == (
        f'Cannot create already existing endpoint configuration "{arn}".'
    )
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    missing = f'Could not find endpoint configuration "{arn}".'
    assert invalid(sagemaker.describe_endpoint_config, EndpointConfigName=name) == missing
    assert invalid(sagemaker.delete_endpoint_config, EndpointConfigName=name) == missing


def test_what_a_configuration_cannot_be(sagemaker):
    of = model(sagemaker)

    def said(*variants, **more):
        request = {"EndpointConfigName": "refused", "ProductionVariants": list(variants)}
        return invalid(sagemaker.create_endpoint_config, **request, **more)

    assert said(variant("nobody")) == f'Could not find model "{ARN}:model/nobody".'
    assert "VariantName 'AllTraffic' is given twice" in said(variant(of), variant(of))
    serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    only = {"VariantName": "v", "ModelName": of, "ServerlessConfig": serverless}
    assert "ServerlessConfig" in said(only)
    assert "ModelName is required" in said({"VariantName": "v", "InstanceType": "ml.m5.large"})
    assert "weight above 0" in said(variant(of, InitialVariantWeight=0))
    assert "instanceType" in said(variant(of, InstanceType="ml.none"))
    assert "ShadowProductionVariants" in said(
        variant(of), ShadowProductionVariants=[variant(of, "shadow")]
    )
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 5,
        "DestinationS3Uri": "s3://b/c",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    assert "DataCaptureConfig" in said(variant(of), DataCaptureConfig=capture)
    config(sagemaker, variant(of), DataCaptureConfig={**capture, "EnableCapture": False})


def test_an_endpoint_as_far_as_records_go(sagemaker):
    of = model(sagemaker)
    by = config(sagemaker, variant(of))
    name = new("Endpoint")
    arn = f"{ARN}:endpoint/{name.lower()}"
    request = {"EndpointName": name, "EndpointConfigName": by}
    tags = [{"Key": "k", "Value": "v"}]
    assert sagemaker.create_endpoint(**request, Tags=tags)["EndpointArn"] == arn
    try:
        assert invalid(sagemaker.create_endpoint, **{**request, "EndpointName": name.upper()}) == (
            f'Cannot create already existing endpoint "{arn}".'
        )
        seen = sagemaker.describe_endpoint(EndpointName=name)
        assert (seen["EndpointArn"], seen["EndpointConfigName"]) == (arn, by)
        (shown,) = seen["ProductionVariants"]
        assert (shown["VariantName"], shown["DesiredInstanceCount"]) == ("AllTraffic", 1)
        assert shown["DeployedImages"] == [{"SpecifiedImage": IMAGE}]
        assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
        sagemaker.delete_endpoint_config(EndpointConfigName=by)
        listed = sagemaker.list_endpoints(NameContains=name)["Endpoints"]
        assert [e["EndpointName"] for e in listed] == [name]
        # No instance ever comes up, so it never is in service.
        assert "Cannot update" in invalid(
            sagemaker.update_endpoint_weights_and_capacities,
            EndpointName=name,
            DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredWeight": 2.0}],
        )
        assert "Cannot update" in invalid(sagemaker.update_endpoint, **request)
    finally:
        sagemaker.delete_endpoint(EndpointName=name)
    other = invalid(sagemaker.describe_endpoint, EndpointName="nobody")
    assert other == f'Could not find endpoint "{ARN}:endpoint/nobody".'
    assert invalid(sagemaker.delete_endpoint, EndpointName="nobody") == other
    assert "Could not find endpoint " in invalid(
        sagemaker.update_endpoint, EndpointName="nobody", EndpointConfigName="c"
    )


def test_what_is_not_served_of_a_deployment(sagemaker):
    by = config(sagemaker, variant(model(sagemaker)))

    def said(kind: str = "ALL_AT_ONCE", **more):
        routing = {"Type": kind, "WaitIntervalInSeconds": 0}
        policy = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}, **more}
        request = {"EndpointName": "refused", "EndpointConfigName": by, "DeploymentConfig": policy}
        return invalid(sagemaker.create_endpoint, **request)

    assert "Type CANARY of CreateEndpoint" in said("CANARY")
    assert "AutoRollbackConfiguration" in said(AutoRollbackConfiguration={"Alarms": [{"AlarmName": "a"}]})
    missing = f'Could not find endpoint configuration "{ARN}:endpoint-config/nobody".'
    nobody = {"EndpointName": "refused", "EndpointConfigName": "nobody"}
    assert invalid(sagemaker.create_endpoint, **nobody) == missing


@pytest.mark.parametrize("kind", ["models", "endpoint_configs"])
def test_pages_neither_skip_nor_repeat(sagemaker, kind):
    prefix = new("paged")
    of = model(sagemaker, f"{prefix}-a")
    names = [f"{prefix}-{letter}" for letter in "abcde"]
    for name in names[1:]:
        model(sagemaker, name)
    if kind == "endpoint_configs":
        for name in names:
            config(sagemaker, variant(of), name=name)
    member, key = {
        "models": ("Models", "ModelName"),
        "endpoint_configs": ("EndpointConfigs", "EndpointConfigName"),
    }[kind]
    pages = sagemaker.get_paginator(f"list_{kind}")

    def listed(**given):
        found = pages.paginate(NameContains=prefix, PaginationConfig={"PageSize": 2}, **given)
        return [one[key] for page in found for one in page[member]]

    assert listed() == names[::-1], "the newest first, if nothing is said"
    assert listed(SortBy="Name", SortOrder="Ascending") == names
    call = getattr(sagemaker, f"list_{kind}")
    third = call(NameContains=names[2])[member][0]["CreationTime"]
    assert names[2] in listed(CreationTimeAfter=third), "its own moment is taken in"
    assert names[2] not in listed(CreationTimeBefore=third)
    token = call(MaxResults=1, NameContains=prefix)["NextToken"]
    assert "NextToken" in invalid(call, MaxResults=1, NameContains="other", NextToken=token)


def test_tags_are_of_all_kinds(sagemaker):
    of = model(sagemaker)
    by = config(sagemaker, variant(of), Tags=[{"Key": "a", "Value": "1"}])
    for arn in (f"{ARN}:model/{of.lower()}", f"{ARN}:endpoint-config/{by.lower()}"):
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
        keys = [tag["Key"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]]
        assert keys == (["b"] if "model" in arn else ["a", "b"])
        sagemaker.delete_tags(ResourceArn=arn, TagKeys=["b"])
    sagemaker.delete_endpoint_config(EndpointConfigName=by)
    config(sagemaker, variant(of), name=by)
    assert sagemaker.list_tags(ResourceArn=f"{ARN}:endpoint-config/{by.lower()}")["Tags"] == []
    nobody = f"{ARN}:endpoint/nobody"
    assert invalid(sagemaker.list_tags, ResourceArn=nobody) == "Requested resource not found."


def test_records_outlive_a_restart(belljar, digits_image):
    state = belljar.new_folder("state")
    service = Service(belljar, state=state).start()
    sagemaker = service.client("sagemaker")
    of = model(sagemaker)
    by = config(sagemaker, variant(of))
    service.stop()
    service = Service(belljar, state=state).start()
    sagemaker = service.client("sagemaker")
    assert sagemaker.describe_model(ModelName=of)["ModelName"] == of
    assert sagemaker.describe_endpoint_config(EndpointConfigName=by)["EndpointConfigName"] == by
    service.stop()
