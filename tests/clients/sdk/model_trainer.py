"""SageMaker SDK 3: a ModelTrainer with source code."""

import logging

from common import answer, arguments
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, Networking, SourceCode

# The SDK logs what the instances say, and leaves it to its users what becomes of that.
logging.basicConfig(level=logging.INFO, format="%(message)s")
given = arguments()
trainer = ModelTrainer(
    training_image=given["image"],
    role=given["role"],
    base_job_name="trainer",
    source_code=SourceCode(source_dir=given["source"], entry_script="train.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=given.get("instances", 1)),
    networking=Networking(
        enable_network_isolation=True,
        enable_inter_container_traffic_encryption=given.get("encrypted", False),
    ),
    hyperparameters=given["hyperparameters"],
)
trainer.train(
    input_data_config=[InputData(channel_name="train", data_source=given["train"])],
    wait=True,
    logs=True,
)
job = trainer._latest_training_job
answer(
    job=job.training_job_name,
    status=job.training_job_status,
    model=job.model_artifacts.s3_model_artifacts,
)
