"""The Pythons of the virtual environments, for whichever user runs a script."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN = Path(sys.prefix)
SDK2 = ROOT / ".venv-sdk2"
SDK3 = ROOT / ".venv-sdk3"


def interpreter(service, venv: Path) -> tuple[Path, dict[str, str]]:
    """The Python of a virtual environment, and what makes it see the packages; another one of
    the same version where this user may not enter the folder that it was made from."""
    own = venv / "bin/python"
    if not own.exists():
        pytest.fail(f"{own} is missing: run `make venv`")
    if not service.belljar.other_user:
        return own, {}
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = {"PYTHONPATH": str(venv / "lib" / version / "site-packages")}
    for found in (own, Path("/usr/bin") / version):
        call = service.belljar.call([], None, packages)
        call["args"] = [found, "-c", "import boto3"]
        try:
            if subprocess.run(**call, timeout=120, capture_output=True).returncode == 0:
                return found, packages
        except OSError:
            continue
    pytest.skip(f"this user may execute no {version}")
