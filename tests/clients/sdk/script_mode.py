"""SageMaker SDK 2: script mode under isolation, with nothing but an endpoint's URL: a bucket that
is named and the role's whole ARN keep the SDK from asking STS at an address of its own."""

import sagemaker
from common import answer, arguments
from sagemaker.estimator import Estimator

given = arguments()
quiet = {"SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
session = sagemaker.Session(
    default_bucket=given["bucket"], sagemaker_config={"SchemaVersion": "1.0", **quiet}
)
estimator = Estimator(
    image_uri=given["image"],
    role=given["role"],
    instance_count=1,
    instance_type="ml.m5.large",
    entry_point="train.py",
    source_dir=given["source"],
    hyperparameters=given["hyperparameters"],
    enable_network_isolation=True,
    checkpoint_s3_uri=given.get("checkpoints"),
    sagemaker_session=session,
)
estimator.fit({"train": given["train"]}, logs="All")
job = estimator.latest_training_job.name
answer(job=job, model=estimator.model_data, described=session.describe_training_job(job))
