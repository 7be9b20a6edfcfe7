#!/usr/bin/env bash
# Fetches botocore's own protocol and signature vectors, from the source distribution of the version
# that tests/clients/requirements.txt pins, into target/botocore-vectors. They are not committed.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
version=$(sed -n 's/^botocore==//p' tests/clients/requirements.txt)
out=target/botocore-vectors
if [ "$(cat "$out/version" 2>/dev/null)" = "$version" ]; then
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip download --quiet --disable-pip-version-check --no-deps \
    --no-binary :all: --dest "$work" "botocore==$version"
tar -xzf "$work/botocore-$version.tar.gz" -C "$work"
from=$work/botocore-$version/tests/unit
rm -rf "$out"
mkdir -p "$out"
cp -r "$from/protocols/input" "$from/protocols/output" "$from/auth/aws4_testsuite" "$out/"
echo "$version" >"$out/version"
