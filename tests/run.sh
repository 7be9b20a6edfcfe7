#!/usr/bin/env bash
# Runs every test on what `make test-build venv vectors images` made: the pruned models, pytest with real clients, the example
# and the probe, documentation examples, then the workspace. Ends with the sums of each and one line
# of all; fails if any test failed, or if a runner ran nothing. The Makefile says why the profile is
# release. Tests of the whole system find the programs by these variables.
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

# What was run beside the others, as if it had run just now.
shown() { # log, exit code
    cat "$1"
    return "$2"
}

# The sum of the numbers before a word (an extended regular expression), over the lines of a log
# that match a pattern.
sum() { # log, line pattern, word
    sed 's/\x1b\[[0-9;]*m//g' "$logs/$1.log" | grep -E "$2" | grep -oE "[0-9]+ ($3)" |
        awk '{ n += $1 } END { print n + 0 }'
}

# The programs that go into images, as `make static` builds them.
run_static() {
    RUSTFLAGS='-C target-feature=+crt-static' "$@" --release --locked --no-fail-fast \
        --target "$host" --target-dir target/static -p digits -p belljar-probe
}
others=(--workspace --exclude digits --exclude belljar-probe --release --locked)

# The SDKs ask every 30 s how far something is, and flow logs come once a minute: their tests do
# little but wait, beside the others.
# So do the two halves of the others, each with a service of its own.
sdks=(tests/clients/test_{sdk,serving_sdk,secure_production,flow_logs}.py)
pytest=(.venv/bin/python -m pytest -q)
others_of_clients=(tests/clients "${sdks[@]/#/--ignore=}")

run models cargo run --release --locked --quiet -p xtask -- models --check
"${pytest[@]}" "${sdks[@]}" >"$logs/aside.log" 2>&1 &
aside=$!
if [ "$(id -u)" -eq 0 ]; then
    BELLJAR_TEST_AS=root "${pytest[@]}" "${others_of_clients[@]}" >"$logs/aside-root.log" 2>&1 &
    as_root=$!
fi
BELLJAR_TEST_AS=user run clients "${pytest[@]}" "${others_of_clients[@]}"
if [ -n "${as_root:-}" ]; then
    wait "$as_root"
    run clients-root shown "$logs/aside-root.log" $?
fi
wait "$aside"
run sdks shown "$logs/aside.log" $?
run docs cargo test "${others[@]}" --doc
if cargo nextest --version >/dev/null 2>&1; then
    run static run_static cargo nextest run
    run workspace cargo nextest run "${others[@]}" --no-fail-fast
    summary='Summary \['
else
    run static run_static cargo test
    run workspace cargo test "${others[@]}" --lib --bins --tests --no-fail-fast
    summary='^test result:'
fi

passed=0 failed=0
while read -r log pattern; do
    [ -n "$log" ] || continue
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
${as_root:+clients-root ^[=]*[ ]*[0-9]+ (passed|failed|error).* in [0-9]}
sdks ^[=]*[ ]*[0-9]+ (passed|failed|error).* in [0-9]
docs ^test result:
static $summary
workspace $summary
EOF
# Lints that are run beside say how they ended in a file.
if [ -n "${BELLJAR_LINT:-}" ]; then
    for _ in {1..600}; do
        [ ! -s "$BELLJAR_LINT" ] || break
        sleep 1
    done
    lint=$(cat "$BELLJAR_LINT" 2>/dev/null || echo 'did not end')
    if [ "$lint" = passed ]; then
        grep -E 'NOT CHECKED|could not be built' "$BELLJAR_LINT.log" || true
    else
        cat "$BELLJAR_LINT.log"
        failed=$((failed + 1)) status=1
    fi
    echo "lint: $lint"
fi
# A runner can fail with no test to blame: a program that does not compile, say.
[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$passed passed, $failed failed"
exit "$status"
