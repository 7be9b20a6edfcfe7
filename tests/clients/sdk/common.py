"""What the scripts of both SDKs share: they are told what to do by their arguments, and answer
with one JSON object on the last line of standard output."""

import json
import sys


def arguments() -> dict:
    return json.loads(sys.argv[1])


def answer(**values) -> None:
    sys.stdout.flush()
    print("\n" + json.dumps(values, default=str), flush=True)
