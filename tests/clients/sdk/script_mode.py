"""SageMaker SDK 2: script mode, under isolation or without, with nothing but an endpoint's URL: a bucket that
is named and the role's whole ARN keep the SDK from asking STS at an address of its own."""

import sagemaker
from common import answer, arguments
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.instance_group import InstanceGroup

given = arguments()
quiet = {"SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
session = sagemaker.Session(
    default_bucket=given["bucket"], sagemaker_config={"SchemaVersion": "1.0", **quiet}
)
# Instances of one type, or of several (name, type and number of each group).
groups = [InstanceGroup(*group) for group in given.get("groups", [])]
machines = {"instance_count": given.get("instances", 1), "instance_type": "ml.m5.large"}
if groups:
    machines = {"instance_groups": groups}
train = TrainingInput(given["train"], instance_groups=given.get("train_groups"), distribution="ShardedByS3Key")
estimator = Estimator(
    image_uri=given["image"],
    role=given["role"],
    **machines,
    entry_point="train.py",
    source_dir=given["source"],
    hyperparameters=given["hyperparameters"],
    enable_network_isolation=given.get("isolated", True),
    checkpoint_s3_uri=given.get("checkpoints"),
    sagemaker_session=session,
)
estimator.fit({"train": train}, logs="All")
job = estimator.latest_training_job.name
answer(job=job, model=estimator.model_data, described=session.describe_training_job(job))
