"""SageMaker SDK 2: an Estimator with an image's own program. Default bucket, role by name."""

import sagemaker
from common import answer, arguments
from sagemaker.estimator import Estimator

given = arguments()
session = sagemaker.Session()
bucket = session.default_bucket()
train = session.upload_data(given["data"], key_prefix="data/train")
estimator = Estimator(
    image_uri=given["image"],
    role=given["role"],
    instance_count=1,
    instance_type="ml.m5.large",
    hyperparameters=given["hyperparameters"],
    metric_definitions=[{"Name": "acc", "Regex": "acc=([0-9.]+)"}],
    enable_network_isolation=True,
    sagemaker_session=session,
)
estimator.fit({"train": train}, logs="All")
job = estimator.latest_training_job.name
answer(
    bucket=bucket,
    job=job,
    model=estimator.model_data,
    described=session.describe_training_job(job),
)
