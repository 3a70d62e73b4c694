#!/usr/bin/env bash
# For a CI runner: scenario two-mr on this machine's own kernel if `dmmlab doctor` finds the means, else in the guest in
# real time; and the native tests. Results, figures, report and JUnit file go to OUT, whatever happens.
#
#   tests/live/native.sh [OUT]      default results
# Exit status   0 all ok; 1 something failed. A run that is invalid (this machine did not keep time) is said to be, and is
#               no failure: the machine is at fault.
set -euo pipefail

cd "$(dirname "$0")/../.."
out=${1:-results}
venv=${DMMLAB_VENV:-.venv}
mkdir -p "$out"

"$venv/bin/dmmlab" doctor || true
"$venv/bin/dmmlab" doctor --json >"$out/doctor.json" || true
runtime=$("$venv/bin/python" -c '
import json, sys
native = [c for c in json.load(open(sys.argv[1]))["combinations"] if (c["runtime"], c["clock"]) == ("native", "real")]
print("native" if native and native[0]["ok"] else "guest")
' "$out/doctor.json")
printf 'runtime: %s\n' "$runtime"

status=0
"$venv/bin/dmmlab" run two-mr --runtime "$runtime" --clock real --out "$out/two-mr" --profile || status=$?
verdict=$("$venv/bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["outcome"])' \
    "$out/two-mr/outcome.json" || echo missing)
printf 'verdict: %s (status %d)\n' "$verdict" "$status"
case $verdict in
    ok | invalid) ;;
    *) exit 1 ;;
esac
"$venv/bin/dmmlab" report "$out/two-mr"
"$venv/bin/python" -m pytest tests/live/test_native.py --junitxml="$out/junit.xml"
