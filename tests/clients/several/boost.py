"""Gradient boosting over instances with XGBoost's own collective: a tracker on the first of them."""

import hashlib
import json
import pathlib
import socket
import time

import numpy as np
import xgboost
from xgboost.collective import CommunicatorContext
from xgboost.tracker import RabitTracker

ML = pathlib.Path("/opt/ml")
PORT, READY = 9091, 9092
SECONDS = 60
CONFIG = json.loads((ML / "input/config/resourceconfig.json").read_text())
HOSTS, OWN = CONFIG["hosts"], CONFIG["current_host"]


def tracker() -> RabitTracker | None:
    """On the first instance. The others wait until it is there: a worker that finds none sleeps for
    seconds before it tries again."""
    if OWN != HOSTS[0]:
        await_ready()
        return None
    made = RabitTracker(n_workers=len(HOSTS), host_ip=socket.gethostbyname(OWN), port=PORT, timeout=SECONDS)
    made.start()
    with socket.create_server(("", READY)) as server:
        for _ in HOSTS[1:]:
            server.accept()[0].close()
    return made


def await_ready() -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            return socket.create_connection((HOSTS[0], READY), timeout=SECONDS).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def main() -> None:
    files = sorted((ML / "input/data/train").glob("*.csv"))
    data = np.concatenate([np.loadtxt(file, delimiter=",", ndmin=2) for file in files])
    started = tracker()
    where = {"dmlc_communicator": "rabit", "dmlc_tracker_uri": socket.gethostbyname(HOSTS[0]), "dmlc_tracker_port": PORT}
    with CommunicatorContext(**where, dmlc_task_id=OWN, dmlc_timeout=SECONDS):
        matrix = xgboost.DMatrix(data[:, :-1], data[:, -1])
        chosen = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1, "tree_method": "hist"}
        model = xgboost.train(chosen, matrix, num_boost_round=10)
        raw = model.save_raw("json")
    print("rows", len(data))
    print("model", hashlib.sha256(raw).hexdigest(), flush=True)
    if started:
        started.wait_for(SECONDS)
        (ML / "model/model.json").write_bytes(raw)


main()
