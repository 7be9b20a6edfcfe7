#!/usr/bin/env python3
"""Makes train.csv and test.csv from the digits data that scikit-learn ships.

    pip download --no-deps --only-binary=:all: scikit-learn==1.9.1
    python3 make_data.py scikit_learn-1.9.1-*.whl

Needs nothing but Python. The same wheel always gives the same two files: row i of the source goes
to the held-out test set if i % 4 == 3, else to the training set; order is kept. The label moves
from the last column to the first, where SageMaker's own CSV algorithms expect it.
"""

import gzip
import io
import pathlib
import sys
import zipfile

SOURCE = "sklearn/datasets/data/digits.csv.gz"


def main() -> None:
    wheel = zipfile.ZipFile(sys.argv[1])
    text = gzip.decompress(wheel.read(SOURCE)).decode("ascii")
    here = pathlib.Path(__file__).parent
    out = {"train.csv": io.StringIO(), "test.csv": io.StringIO()}
    for i, line in enumerate(text.splitlines()):
        *pixels, label = (int(float(v)) for v in line.split(","))
        if len(pixels) != 64 or not all(0 <= p <= 16 for p in pixels) or not 0 <= label <= 9:
            sys.exit(f"row {i} is not 64 pixels of 0..16 and a digit")
        name = "test.csv" if i % 4 == 3 else "train.csv"
        out[name].write(",".join(map(str, [label, *pixels])) + "\n")
    for name, rows in out.items():
        (here / name).write_text(rows.getvalue(), encoding="ascii", newline="\n")


if __name__ == "__main__":
    main()
