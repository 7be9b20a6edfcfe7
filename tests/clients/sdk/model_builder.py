"""SageMaker SDK 3: an image and what was trained, by a ModelBuilder."""

import json
import logging

from common import answer, arguments
from sagemaker.serve import ModelBuilder
from sagemaker.train.configs import Networking

logging.basicConfig(level=logging.INFO, format="%(message)s")
given = arguments()
builder = ModelBuilder(
    image_uri=given["image"],
    s3_model_data_url=given["data"],
    role_arn=given["role"],
    instance_type="ml.m5.large",
    network=Networking(enable_network_isolation=True),
    model_path=given["folder"],  # one folder of /tmp for all users otherwise
)
model = builder.build()
endpoint = builder.deploy(endpoint_name=given["name"], initial_instance_count=2)
body = "\n".join(",".join(str(cell) for cell in row) for row in given["rows"])
said = endpoint.invoke(body=body, content_type="text/csv", accept="application/json")
endpoint.refresh()
described = {
    "status": endpoint.endpoint_status,
    "count": endpoint.production_variants[0].current_instance_count,
    "isolated": model.enable_network_isolation,
}
endpoint.delete()
endpoint.wait_for_delete(poll=1, timeout=60)
model.delete()
answer(described=described, predicted=json.loads(said.body.read()), variant=said.invoked_production_variant)
