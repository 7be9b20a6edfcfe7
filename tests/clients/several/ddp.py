"""Data-parallel training with torch over Gloo."""

import hashlib
import json
import os
import pathlib

ML = pathlib.Path("/opt/ml")
CONFIG = json.loads((ML / "input/config/resourceconfig.json").read_text())
HOSTS, OWN = CONFIG["hosts"], CONFIG["current_host"]
os.environ["GLOO_SOCKET_IFNAME"] = CONFIG["network_interface_name"]

import torch  # noqa: E402
from torch import distributed, nn  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402


def main() -> None:
    torch.set_num_threads(1)
    rank = HOSTS.index(OWN)
    address = f"tcp://{HOSTS[0]}:29500"
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=len(HOSTS))
    torch.manual_seed(rank)  # The first one's weights are everybody's.
    model = DistributedDataParallel(nn.Linear(8, 1))
    rows = torch.Generator().manual_seed(100 + rank)
    x = torch.randn(64, 8, generator=rows)
    y = x.sum(dim=1, keepdim=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
    state = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    print(f"loss={loss.item():.6f}")
    print("model", hashlib.sha256(state).hexdigest(), flush=True)
    if rank == 0:
        (ML / "model/weights.bin").write_bytes(state)
    distributed.destroy_process_group()


main()
