"""From data to predictions with the SageMaker Python SDK 2, and no container that could tell anyone.

    make quickstart                     (once: it makes the image belljar/digits)
    belljar up &
    belljar exec -- python examples/secure_production.py belljar/digits

A network without a way to the internet is made first (private_network.py). In it two instances train on
handwritten digits; what passes between them is encrypted, and what they read and write goes to S3 by a
VPC endpoint. Two more serve what they learnt, and rows that were never learnt from are asked about. Then
all is taken down again. The code is what runs on AWS: there, name a role and an image of your own.
"""

import argparse
import csv
import sys
import time
from pathlib import Path

import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer

from private_network import PrivateNetwork, private_network

DATA = Path(__file__).parent / "digits/data"
JOBS, ENDPOINTS = "ml.c5.xlarge", "ml.m5.large"
INSTANCES = 2


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train and serve in isolation, then clean up.")
    parser.add_argument("image", help="an image that trains and serves as examples/digits does")
    parser.add_argument("--role", default="BelljarExecutionRole", help="who the jobs are (%(default)s)")
    parser.add_argument("--clear", action="store_true", help="do not encrypt what passes between instances")
    return parser.parse_args()


def train(session: sagemaker.Session, network: PrivateNetwork, chosen: argparse.Namespace) -> Estimator:
    """No way out, no credentials inside, and nothing in clear between the instances."""
    estimator = Estimator(
        image_uri=chosen.image,
        role=chosen.role,
        instance_count=INSTANCES,
        instance_type=JOBS,
        base_job_name="secure",
        hyperparameters={"trees": 30},
        metric_definitions=[{"Name": "accuracy", "Regex": "accuracy=([0-9.]+)"}],
        enable_network_isolation=True,
        encrypt_inter_container_traffic=not chosen.clear,
        subnets=network.subnets,
        security_group_ids=[network.training],
        sagemaker_session=session,
    )
    channels = {
        name: session.upload_data(str(DATA / f"{name}.csv"), key_prefix=f"secure/{name}")
        for name in ("train", "test")
    }
    estimator.fit(channels, logs="All")
    return estimator


def deploy(estimator: Estimator, network: PrivateNetwork) -> Predictor:
    """A model takes its estimator's isolation. `vpc_config_override` is the keyword that works:
    `vpc_config`, which some guides give, is refused by the SDK itself."""
    return estimator.deploy(
        initial_instance_count=INSTANCES,
        instance_type=ENDPOINTS,
        endpoint_name=f"secure-{int(time.time())}",
        serializer=CSVSerializer(),
        deserializer=JSONDeserializer(),
        vpc_config_override=network.config(network.serving),
    )


def accuracy(predictor: Predictor) -> float:
    """Of rows of the channel `test`, whose first number is the digit."""
    with (DATA / "test.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    found = predictor.predict([row[1:] for row in rows])["predictions"]
    return sum(digit == int(row[0]) for digit, row in zip(found, rows, strict=True)) / len(rows)


def main() -> int:
    chosen, session = options(), sagemaker.Session()
    with private_network("secure-ml") as network:
        estimator = train(session, network, chosen)
        print(f"\nmodel: {estimator.model_data}")
        predictor = deploy(estimator, network)
        try:
            reached = accuracy(predictor)
            print(f"\nendpoint: {predictor.endpoint_name}, accuracy on rows it never saw: {reached:.4f}")
        finally:
            predictor.delete_model()
            predictor.delete_endpoint()
    return 0 if reached > 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
