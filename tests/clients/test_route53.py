"""Route 53: private hosted zones, by boto3. Every answer is also held
against botocore's model, by the service itself."""

import contextlib
import itertools

import pytest
from botocore.exceptions import ClientError

NUMBERS = itertools.count(1)


def refused(call, **given) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**given)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.fixture(scope="module")
def route53(service):
    return service.client("route53")


@pytest.fixture(scope="module")
def ec2(service):
    return service.client("ec2")


@pytest.fixture(scope="module")
def vpcs(ec2):
    made = [ec2.create_vpc(CidrBlock=f"10.{n}.0.0/16")["Vpc"]["VpcId"] for n in (91, 92)]
    yield made
    for vpc in made:
        ec2.delete_vpc(VpcId=vpc)


@contextlib.contextmanager
def a_zone(route53, vpc: str, name: str, **config):
    made = route53.create_hosted_zone(
        Name=name,
        VPC={"VPCRegion": "us-east-1", "VPCId": vpc},
        CallerReference=f"{name}-{next(NUMBERS)}",
        HostedZoneConfig={"PrivateZone": True, **config},
    )
    zone = made["HostedZone"]["Id"]
    yield zone
    route53.delete_hosted_zone(Id=zone)


@pytest.fixture
def zone(route53, vpcs):
    with a_zone(route53, vpcs[0], "corp.example.com") as zone:
        yield zone


def a_set(name: str, *values: str, kind: str = "A", ttl: int = 60) -> dict:
    return {"Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": [{"Value": v} for v in values]}


def batch(*changes) -> dict:
    return {"Changes": [{"Action": action, "ResourceRecordSet": of} for action, of in changes]}


def change(route53, zone: str, *changes) -> dict:
    return route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch(*changes))


def wrong(route53, zone: str, *changes) -> tuple[str, str]:
    return refused(route53.change_resource_record_sets, HostedZoneId=zone, ChangeBatch=batch(*changes))


def names(route53, zone: str, **given) -> list[tuple[str, str]]:
    sets = route53.list_resource_record_sets(HostedZoneId=zone, **given)["ResourceRecordSets"]
    return [(s["Name"], s["Type"]) for s in sets]


def clear(route53, zone: str) -> None:
    sets = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    own = [("DELETE", s) for s in sets if s["Type"] not in ("NS", "SOA")]
    if own:
        change(route53, zone, *own)


def test_a_zone_from_its_beginning_to_its_end(route53, vpcs):
    given = {
        "Name": "Models.Example.com",
        "VPC": {"VPCRegion": "us-east-1", "VPCId": vpcs[0]},
        "CallerReference": "one",
        "HostedZoneConfig": {"Comment": "of models", "PrivateZone": True},
    }
    made = route53.create_hosted_zone(**given)
    zone = made["HostedZone"]["Id"]
    assert zone.startswith("/hostedzone/Z")
    assert made["HostedZone"]["Name"] == "models.example.com."
    assert made["HostedZone"]["Config"] == {"Comment": "of models", "PrivateZone": True}
    assert made["HostedZone"]["ResourceRecordSetCount"] == 2
    assert made["VPC"] == given["VPC"] and made["Location"].endswith(zone)
    assert made["ChangeInfo"]["Status"] == "INSYNC"
    assert route53.get_change(Id=made["ChangeInfo"]["Id"])["ChangeInfo"] == made["ChangeInfo"]
    assert refused(route53.get_change, Id="C2682N5HXP0BZ4")[0] == "NoSuchChange"

    assert refused(route53.create_hosted_zone, **given)[0] == "HostedZoneAlreadyExists"
    again = {**given, "CallerReference": "two"}
    assert refused(route53.create_hosted_zone, **again) == (
        "ConflictingDomainExists",
        "A conflicting domain is already associated with the given VPC or Delegation Set.",
    )
    seen = route53.get_hosted_zone(Id=zone)
    assert seen["VPCs"] == [given["VPC"]] and seen["HostedZone"]["CallerReference"] == "one"
    told = route53.update_hosted_zone_comment(Id=zone, Comment="")["HostedZone"]
    assert told["Config"] == {"PrivateZone": True}
    route53.delete_hosted_zone(Id=zone)
    code, text = refused(route53.get_hosted_zone, Id=zone)
    assert (code, text) == ("NoSuchHostedZone", f"No hosted zone found with ID: {zone.split('/')[-1]}")


def test_a_public_zone_and_what_is_no_zone_are_refused(route53, vpcs):
    public = refused(route53.create_hosted_zone, Name="example.com", CallerReference="p")
    assert public[0] == "InvalidInput" and "public hosted zones" in public[1]
    private = {"Name": "x.example.com", "CallerReference": "q", "HostedZoneConfig": {"PrivateZone": True}}
    for vpc in ({"VPCRegion": "us-east-1", "VPCId": "vpc-0"}, {"VPCRegion": "us-east-1", "VPCId": "x"}):
        assert refused(route53.create_hosted_zone, **private, VPC=vpc)[0] == "InvalidVPCId"
    elsewhere = {"VPCRegion": "eu-west-1", "VPCId": vpcs[0]}
    assert "eu-west-1" in refused(route53.create_hosted_zone, **private, VPC=elsewhere)[1]
    bad = {**private, "Name": "a..b", "VPC": {"VPCRegion": "us-east-1", "VPCId": vpcs[0]}}
    assert refused(route53.create_hosted_zone, **bad)[0] == "InvalidDomainName"


def test_a_zone_is_asked_in_the_vpcs_that_it_is_associated_with(route53, vpcs, zone):
    of = [{"VPCRegion": "us-east-1", "VPCId": vpc} for vpc in vpcs]
    associated = route53.associate_vpc_with_hosted_zone(HostedZoneId=zone, VPC=of[1], Comment="too")
    assert associated["ChangeInfo"]["Comment"] == "too"
    assert route53.get_hosted_zone(Id=zone)["VPCs"] == sorted(of, key=lambda v: v["VPCId"])
    again = refused(route53.associate_vpc_with_hosted_zone, HostedZoneId=zone, VPC=of[1])
    assert again[0] == "ConflictingDomainExists"
    for vpc in vpcs:
        found = route53.list_hosted_zones_by_vpc(VPCId=vpc, VPCRegion="us-east-1")["HostedZoneSummaries"]
        assert [f"/hostedzone/{z['HostedZoneId']}" for z in found] == [zone]
    route53.disassociate_vpc_from_hosted_zone(HostedZoneId=zone, VPC=of[0])
    for code, vpc in (("VPCAssociationNotFound", of[0]), ("LastVPCAssociation", of[1])):
        got = refused(route53.disassociate_vpc_from_hosted_zone, HostedZoneId=zone, VPC=vpc)
        assert got[0] == code
    assert refused(route53.list_hosted_zones_by_vpc, VPCId="vpc-0", VPCRegion="us-east-1")[0] == "InvalidInput"


def test_zones_are_listed_in_pages_and_by_name(route53, vpcs):
    with contextlib.ExitStack() as held:
        made = {
            name: held.enter_context(a_zone(route53, vpcs[0], name))
            for name in ("b.example.net", "a.example.net", "example.net")
        }
        pages = route53.get_paginator("list_hosted_zones").paginate(PaginationConfig={"PageSize": 2})
        found = [z["Id"] for page in pages for z in page["HostedZones"]]
        assert set(made.values()) <= set(found) and len(found) == len(set(found))
        first = route53.list_hosted_zones_by_name(DNSName="example.net", MaxItems="2")
        assert [z["Name"] for z in first["HostedZones"]] == ["example.net.", "a.example.net."]
        assert first["IsTruncated"] and first["NextDNSName"] == "b.example.net."
        rest = route53.list_hosted_zones_by_name(
            DNSName=first["NextDNSName"], HostedZoneId=first["NextHostedZoneId"]
        )
        assert rest["HostedZones"][0]["Id"] == made["b.example.net"]


def test_record_sets_are_kept_and_listed_by_reversed_names(route53, zone):
    change(
        route53,
        zone,
        ("CREATE", a_set("www.corp.example.com", "10.0.0.1", "10.0.0.2")),
        ("CREATE", a_set("*.corp.example.com", "10.0.0.3")),
        ("CREATE", a_set("b.a.corp.example.com.", "fd00::1", kind="AAAA")),
        ("CREATE", a_set("alias.corp.example.com", "www.corp.example.com", kind="CNAME")),
        ("UPSERT", a_set("corp.example.com", '"v=1" "two"', kind="TXT")),
    )
    corp = "corp.example.com."
    everything = [
        (corp, "NS"),
        (corp, "SOA"),
        (corp, "TXT"),
        (rf"\052.{corp}", "A"),
        (f"b.a.{corp}", "AAAA"),
        (f"alias.{corp}", "CNAME"),
        (f"www.{corp}", "A"),
    ]
    assert names(route53, zone) == everything
    pages = route53.get_paginator("list_resource_record_sets")
    pages = pages.paginate(HostedZoneId=zone, PaginationConfig={"PageSize": 3})
    assert [(s["Name"], s["Type"]) for page in pages for s in page["ResourceRecordSets"]] == everything
    assert names(route53, zone, StartRecordName="b.a." + corp, MaxItems="2") == everything[4:6]
    assert names(route53, zone, StartRecordName=corp, StartRecordType="SOA", MaxItems="1") == everything[1:2]
    assert refused(route53.list_resource_record_sets, HostedZoneId=zone, StartRecordType="A")[0] == "InvalidInput"
    assert route53.get_hosted_zone(Id=zone)["HostedZone"]["ResourceRecordSetCount"] == 7

    code, text = refused(route53.delete_hosted_zone, Id=zone)
    assert code == "HostedZoneNotEmpty" and "non-required resource record sets" in text
    # Those of a wildcard can be sent back as they were shown.
    clear(route53, zone)
    assert names(route53, zone) == everything[:2]


def test_a_batch_is_carried_out_whole_or_not_at_all(route53, zone):
    one, two = a_set("one.corp.example.com", "10.0.0.1"), a_set("one.corp.example.com", "10.0.0.2")
    change(route53, zone, ("CREATE", one))
    before = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    code, text = wrong(
        route53,
        zone,
        ("CREATE", a_set("two.corp.example.com", "10.0.0.9")),
        ("CREATE", one),
        ("DELETE", a_set("three.corp.example.com", "10.0.0.3")),
    )
    assert code == "InvalidChangeBatch"
    assert text == (
        "[Tried to delete resource record set [name='three.corp.example.com.', type='A'] but it was not found, "
        "Tried to create resource record set [name='one.corp.example.com.', type='A'] but it already exists]"
    )
    assert wrong(route53, zone, ("DELETE", two))[1] == (
        "[Tried to delete resource record set [name='one.corp.example.com.', type='A'] "
        "but the values provided do not match the current values]"
    )
    assert "invalid set of changes" in wrong(route53, zone, ("UPSERT", one), ("UPSERT", two))[1]
    assert route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"] == before
    change(route53, zone, ("DELETE", one), ("CREATE", two))
    change(route53, zone, ("UPSERT", one))
    assert route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"] == before
    clear(route53, zone)


def test_values_and_names_are_checked_in_the_words_of_aws(route53, zone):
    name, corp = "x.corp.example.com", "corp.example.com."
    assert wrong(route53, zone, ("CREATE", a_set(name, "10.0.0"))) == (
        "InvalidChangeBatch",
        "[Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address "
        "(Value is not a valid IPv4 address) encountered with '10.0.0'']",
    )
    for kind, value, problem in (
        ("AAAA", "10.0.0.1", "AAAARRDATAIllegalIPv6Address"),
        ("TXT", "bare", "InvalidCharacterString"),
        ("TXT", '"%s"' % ("x" * 256), "CharacterStringTooLong"),
        ("CNAME", "a..b", "DomainLabelEmpty"),
    ):
        assert problem in wrong(route53, zone, ("CREATE", a_set(name, value, kind=kind)))[1], value
    assert "Duplicate Resource Record" in wrong(route53, zone, ("CREATE", a_set(name, "10.0.0.1", "10.0.0.1")))[1]
    outside = wrong(route53, zone, ("CREATE", a_set("x.example.com", "10.0.0.1")))[1]
    assert outside == "[RRSet with DNS name x.example.com. is not permitted in zone corp.example.com.]"
    apex = wrong(route53, zone, ("CREATE", a_set(corp, "y.example.com", kind="CNAME")))[1]
    assert apex == f"[RRSet of type CNAME with DNS name {corp} is not permitted at apex in zone {corp}]"
    change(route53, zone, ("CREATE", a_set(name, "y.example.com", kind="CNAME")))
    assert "because a conflicting RRSet of type CNAME" in wrong(route53, zone, ("CREATE", a_set(name, "10.0.0.1")))[1]
    clear(route53, zone)
    own = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    for of, text in zip(own, ("at least one NS record for the zone itself", "exactly one SOA record"), strict=True):
        assert text in wrong(route53, zone, ("DELETE", of))[1]


def test_what_is_not_served_is_refused_by_name(route53, zone):
    base = a_set("x.corp.example.com", "10.0.0.1")
    for member, value in (
        ("SetIdentifier", "a"),
        ("Weight", 1),
        ("HealthCheckId", "abc"),
        ("MultiValueAnswer", True),
    ):
        assert member in wrong(route53, zone, ("CREATE", {**base, member: value}))[1]
    target = {"HostedZoneId": "Z1", "DNSName": "y.example.com", "EvaluateTargetHealth": False}
    alias = {"Name": base["Name"], "Type": "A", "AliasTarget": target}
    assert "AliasTarget" in wrong(route53, zone, ("CREATE", alias))[1]
    mail = a_set("corp.example.com", "10 mail.example.com", kind="MX")
    assert "MX" in wrong(route53, zone, ("CREATE", mail))[1]
    nothing = {"Name": base["Name"], "Type": "A"}
    assert "but found none in Change with [Action=CREATE" in wrong(route53, zone, ("CREATE", nothing))[1]
    assert refused(route53.get_hosted_zone_count)[0] == "UnsupportedOperation"


def test_tags_of_zones(service, route53, zone):
    of = {"ResourceType": "hostedzone", "ResourceId": zone.split("/")[-1]}
    assert route53.list_tags_for_resource(**of)["ResourceTagSet"]["Tags"] == []
    tags = [{"Key": "Environment", "Value": "prod"}, {"Key": "OwnerTeam", "Value": "ml"}]
    route53.change_tags_for_resource(**of, AddTags=tags)
    assert route53.list_tags_for_resource(**of)["ResourceTagSet"]["Tags"] == tags
    assert service.client("ec2").describe_tags(Filters=[{"Name": "key", "Values": ["OwnerTeam"]}])["Tags"] == []
    route53.change_tags_for_resource(**of, RemoveTagKeys=["OwnerTeam"])
    assert route53.list_tags_for_resource(**of)["ResourceTagSet"]["Tags"] == tags[:1]
    many = [{"Key": f"k{n}", "Value": ""} for n in range(10)]
    assert refused(route53.change_tags_for_resource, **of, AddTags=many)[0] == "InvalidInput"
    assert refused(route53.list_tags_for_resource, ResourceType="hostedzone", ResourceId="Z0")[0] == "NoSuchHostedZone"
    assert "healthcheck" in refused(route53.list_tags_for_resource, ResourceType="healthcheck", ResourceId="a")[1]
