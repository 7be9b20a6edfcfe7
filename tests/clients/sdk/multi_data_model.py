"""SageMaker SDK 2: many models in one container."""

import sagemaker
from common import answer, arguments
from sagemaker.deserializers import CSVDeserializer
from sagemaker.multidatamodel import MultiDataModel
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer

given = arguments()
session = sagemaker.Session()
many = MultiDataModel(
    name=given["name"],
    model_data_prefix=f"s3://{session.default_bucket()}/{given['name']}/",
    image_uri=given["image"],
    role=given["role"],
    predictor_cls=Predictor,
    enable_network_isolation=True,
    sagemaker_session=session,
)
predictor = many.deploy(
    initial_instance_count=1,
    instance_type="ml.m5.large",
    endpoint_name=given["name"],
    serializer=CSVSerializer(),
    deserializer=CSVDeserializer(),
    wait=False,
)
described = session.wait_for_endpoint(given["name"], poll=1)
# The models come when the endpoint is there.
for path in ("one.tar.gz", "deep/two.tar.gz"):
    many.add_model(model_data_source=given["data"], model_data_path=path)
listed = sorted(many.list_models())
predicted = {path: predictor.predict(given["rows"], target_model=path) for path in listed}
try:
    predictor.predict(given["rows"], target_model="none.tar.gz")
    refused = None
except Exception as e:
    refused = str(e)
predictor.delete_model()
predictor.delete_endpoint()
answer(described=described, listed=listed, predicted=predicted, refused=refused)
