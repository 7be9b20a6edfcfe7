"""SageMaker SDK 2: a trained model behind an endpoint, with a Predictor."""

import sagemaker
from common import answer, arguments
from sagemaker.deserializers import JSONDeserializer
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer

given = arguments()
session = sagemaker.Session()
model = Model(
    image_uri=given["image"],
    model_data=given["data"],
    role=given["role"],
    predictor_cls=Predictor,
    enable_network_isolation=True,
    sagemaker_session=session,
)
predictor = model.deploy(
    initial_instance_count=2,
    instance_type="ml.m5.large",
    endpoint_name=given["name"],
    serializer=CSVSerializer(),
    deserializer=JSONDeserializer(),
    wait=False,
)
# As `wait=True`, which looks every half a minute.
described = session.wait_for_endpoint(given["name"], poll=1)
predicted = predictor.predict(given["rows"])
chosen = predictor.predict(given["rows"][:1], target_variant="AllTraffic", inference_id="one")
predictor.update_endpoint(initial_instance_count=1, instance_type="ml.m5.large", wait=False)
updated = session.wait_for_endpoint(given["name"], poll=1)
again = predictor.predict(given["rows"])
try:
    predictor.predict([["not", "a", "row"]])
    refused = None
except session.sagemaker_runtime_client.exceptions.ModelError as e:
    refused = str(e)
predictor.delete_model()
predictor.delete_endpoint()
answer(described=described, predicted=predicted, chosen=chosen, updated=updated, again=again, refused=refused)
