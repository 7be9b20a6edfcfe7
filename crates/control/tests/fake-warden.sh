#!/bin/sh
# A warden that speaks the event protocol and does nothing else. What it plays is in
# BELLJAR_FAKE; the report that it gives is in BELLJAR_FAKE_REPORT; sweeps are noted in the file
# BELLJAR_FAKE_SWEEPS.
set -eu

if [ "$1" = sweep ]; then
    if [ -n "${BELLJAR_FAKE_SWEEPS:-}" ]; then echo "$2" >>"$BELLJAR_FAKE_SWEEPS"; fi
    if [ "${BELLJAR_FAKE:-}" = sweep-fails ]; then echo "a mount is busy" >&2; exit 1; fi
    exit 0
fi
if [ "$1" = doctor ]; then
    cat "$BELLJAR_FAKE_DOCTOR"
    exit 0
fi

job=$3
at='"at":"2026-11-23T13:15:00.000Z"'
log() { echo "{\"event\":\"log\",\"stream\":\"stdout\",\"line\":\"$1\",$at}"; }
status() { echo "{\"event\":\"status\",\"status\":\"$1\",\"message\":\"$1\",$at}"; }
report() {
    name=$(basename "$job")
    sed "s/JOBNAME/$name/g" "$BELLJAR_FAKE_REPORT" >"$job/.report"
    printf '{"event":"report",' && tail -c +2 "$job/.report"
}

[ -s "$job/assignment.json" ]
if grep -q '"serving":{' "$job/assignment.json"; then
    log "loading"
    if [ "${BELLJAR_FAKE:-}" = silent ]; then exit 3; fi
    # It is there until it is told to stop.
    echo "{\"event\":\"health\",\"healthy\":true,\"why\":\"\",$at}"
    read -r asked || asked=gone
    log "asked: $asked"
    report
    exit 0
fi
status Starting
zero=0000000000000000
caps="{\"inheritable\":\"$zero\",\"permitted\":\"$zero\",\"effective\":\"$zero\",\"bounding\":\"$zero\",\"ambient\":\"$zero\"}"
kinds='{"net":1,"user":2,"mnt":3,"pid":4,"ipc":5,"uts":6,"cgroup":7}'
if [ "${BELLJAR_FAKE:-}" != unread ]; then
    echo "{\"event\":\"sealed\",\"seal\":{\"interfaces\":[\"lo\"],\"addresses\":[\"lo 127.0.0.1/8\"],\"routes\":[\"default dev lo src 169.254.7.2\"],\"rules\":[\"output: log, reject\"],\"namespaces\":$kinds,\"sharedWithHost\":[],\"capabilities\":$caps,\"noNewPrivileges\":true,\"seccompMode\":2,\"seccompFilters\":2,\"uidMap\":[\"0 100000 65536\"],\"mounts\":[]}}"
fi
status Training
log "epoch 1 loss=0.5"
echo "{\"event\":\"metric\",\"name\":\"loss\",\"value\":0.5,$at}"
case ${BELLJAR_FAKE:-normal} in
normal | unread) report ;;
file)
    # The report is too long for a line: only its file has it.
    sed "s/JOBNAME/$(basename "$job")/g" "$BELLJAR_FAKE_REPORT" >"$job/report.json"
    head -c 6000000 /dev/zero | tr '\0' x
    echo
    ;;
killed | sweep-fails)
    echo "about to be killed" >&2
    kill -9 $$
    ;;
half) printf '{"event":"log","str' && kill -9 $$ ;;
garbage)
    echo "this is no event"
    echo '{"event":"dance"}'
    report
    ;;
huge)
    head -c 6000000 /dev/zero | tr '\0' x
    echo
    log "after the long line"
    report
    ;;
silent) exit 3 ;;
stop)
    read -r asked
    log "asked: $asked"
    report
    ;;
deaf)
    # Does not react to a stop; only a KILL ends it.
    log "deaf"
    while :; do sleep 1; done
    ;;
chatty)
    # Prints until it is asked to stop. A closed output must not end it.
    trap '' PIPE
    while :; do log "again and again" 2>/dev/null || :; done &
    talker=$!
    read -r asked || asked=gone
    kill "$talker"
    wait "$talker" 2>/dev/null || :
    echo "$asked" >"$job/asked"
    report
    ;;
lingers)
    report
    exec >&- 2>&-
    exec sleep 60
    ;;
foreign)
    sed "s/JOBNAME/another-job/g" "$BELLJAR_FAKE_REPORT" >"$job/report.json"
    ;;
esac
