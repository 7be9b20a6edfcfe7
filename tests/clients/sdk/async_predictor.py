"""SageMaker SDK 2: requests and answers by way of S3."""

import sagemaker
from common import answer, arguments
from sagemaker.async_inference import AsyncInferenceConfig, WaiterConfig
from sagemaker.deserializers import StringDeserializer
from sagemaker.exceptions import AsyncInferenceModelError
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
    initial_instance_count=1,
    instance_type="ml.m5.large",
    endpoint_name=given["name"],
    serializer=CSVSerializer(),
    # A failure goes through it too, and that is text.
    deserializer=StringDeserializer(accept="application/json"),
    async_inference_config=AsyncInferenceConfig(max_concurrent_invocations_per_instance=2),
    wait=False,
)
described = session.wait_for_endpoint(given["name"], poll=1)
# The SDK's thread that waits for a failure goes on to its last attempt.
quick = WaiterConfig(max_attempts=15, delay=1)
predicted = predictor.predict(given["rows"], waiter_config=quick)
later = predictor.predict_async(given["rows"][:3])
first = later.get_result(waiter_config=quick)
try:
    predictor.predict([["not", "a", "row"]], waiter_config=quick)
    refused = None
except AsyncInferenceModelError as e:
    refused = str(e)
predictor.delete_model()
predictor.delete_endpoint()
answer(described=described, predicted=predicted, first=first, output=later.output_path, refused=refused)
