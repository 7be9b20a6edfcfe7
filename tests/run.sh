#!/usr/bin/env bash
# Runs every test on what `make build venv images` made: pytest with real clients, documentation
# examples, then the workspace. Ends with each runner's own summary and one line of sums; fails if
# any test failed, or if a runner ran nothing.
#
# The workspace is tested in the dev profile: overflow checks on, and no link-time optimisation for
# each test program. Tests of the whole system use the release build, by these variables.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 70

host=$(rustc -vV | sed -n 's/^host: //p')
export BELLJAR_BIN=$PWD/target/release/belljar
export BELLJAR_WARDEN=$PWD/target/release/belljar-warden
export BELLJAR_PROBE=$PWD/target/static/$host/release/probe
export BELLJAR_DIGITS=$PWD/target/static/$host/release/digits
export BELLJAR_IMAGES=$PWD/target/images

logs=$PWD/target/test-logs
mkdir -p "$logs"
status=0

run() { # name, command...
    local name=$1
    shift
    echo "== $name: $*"
    "$@" 2>&1 | tee "$logs/$name.log"
    local code=${PIPESTATUS[0]}
    if [ "$code" -ne 0 ]; then
        echo "== $name failed with exit code $code"
        status=1
    fi
}

# The sum of the numbers before a word (an extended regular expression), over the lines of a log that match a pattern.
sum() { # log, line pattern, word
    sed 's/\x1b\[[0-9;]*m//g' "$logs/$1.log" | grep -E "$2" | grep -oE "[0-9]+ ($3)" |
        awk '{ n += $1 } END { print n + 0 }'
}

run clients .venv/bin/python -m pytest -q tests/clients
run docs cargo test --workspace --doc --locked
if cargo nextest --version >/dev/null 2>&1; then
    run workspace cargo nextest run --workspace --locked --no-fail-fast
    workspace='Summary \['
else
    run workspace cargo test --workspace --lib --bins --tests --locked --no-fail-fast
    workspace='^test result:'
fi

passed=0 failed=0
while read -r log pattern; do
    p=$(sum "$log" "$pattern" passed)
    f=$(sum "$log" "$pattern" "failed|errors?")
    passed=$((passed + p)) failed=$((failed + f))
    echo "$log: $p passed, $f failed"
    if [ "$log" != docs ] && [ $((p + f)) -eq 0 ]; then
        echo "$log: no test ran, which counts as a failure"
        failed=$((failed + 1)) status=1
    fi
done <<EOF
clients ^[=]*[ ]*[0-9]+ (passed|failed|error).* in [0-9]
docs ^test result:
workspace $workspace
EOF
echo "$passed passed, $failed failed"
exit "$status"
