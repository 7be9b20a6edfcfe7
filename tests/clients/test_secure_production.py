"""The example of a whole production set-up, as its first lines say to run it."""

import re

from conftest import ROOT, may_encrypt
from interpreter import SDK2, interpreter


def test_the_example_trains_serves_and_cleans_up(service, hosting, digits_image):
    python, packages = interpreter(service, SDK2)
    before = {e["EndpointName"] for e in hosting.sagemaker.list_endpoints()["Endpoints"]}
    words = [python, ROOT / "examples/secure_production.py", digits_image]
    # Whether traffic can be encrypted is the user's right to a TUN device.
    words += [] if may_encrypt(service.belljar) else ["--clear"]
    done = service.exec(words, extra=packages, timeout=280)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    assert "tried to reach" not in done.stderr, done.stderr[-3000:]
    (uri,) = re.findall(r"^model: (\S+)$", done.stdout, re.M)
    job = uri.split("/")[-3]
    trained = hosting.sagemaker.describe_training_job(TrainingJobName=job)
    assert trained["EnableNetworkIsolation"] is True
    assert trained["ResourceConfig"]["InstanceCount"] == 2
    assert trained["EnableInterContainerTrafficEncryption"] is may_encrypt(service.belljar)
    ((endpoint, accuracy),) = re.findall(r"^endpoint: (\S+), accuracy .* ([0-9.]+)$", done.stdout, re.M)
    assert float(accuracy) > 0.9
    hosting.delete(endpoint)
    after = {e["EndpointName"] for e in hosting.sagemaker.list_endpoints()["Endpoints"]}
    assert after <= before
    assert not [m for m in hosting.sagemaker.list_models()["Models"] if m["ModelName"].startswith("secure-")]
    files = hosting.evidence(endpoint)
    assert len(files) == 2, files
    for file in files:
        service.belljar.must("evidence", "verify", file)
