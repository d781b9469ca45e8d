#!/bin/sh
# gpu_day.sh [--dry-run] [--wheels FOLDER]: what only a machine with an NVIDIA GPU can show, in about twelve minutes: the driver's
# figures, the memory of a model, sleep mode, the memory ladder and the engine study. It fills the table in docs/performance.md.
# Without the internet, FOLDER holds the wheels; without them it says how to fetch them. --dry-run only prints what it would run.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/.." && pwd)
dry_run='' wheels=''

fail() {
    echo "gpu_day: $1" >&2
    exit "${2:-1}"
}

while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) dry_run=yes ;;
    --wheels)
        wheels=${2:-}
        [ -d "$wheels" ] || fail "--wheels needs a folder: '$wheels' is none" 2
        wheels=$(CDPATH='' cd -- "$wheels" && pwd)
        shift
        ;;
    *) fail "unknown argument '$1'; the arguments are --dry-run and --wheels FOLDER" 2 ;;
    esac
    shift
done

# Runs a command, or only prints it.
do_or_say() {
    if [ -n "$dry_run" ]; then
        echo "would run: $*"
    else
        "$@"
    fi
}

# A part that fails or takes too long leaves its lines in the table empty; the others run all the same.
part() {
    seconds=$1 name=$2
    echo "gpu_day: $name, at most $seconds s" >&2
    do_or_say timeout --kill-after=20 "$seconds" .venv/bin/python -m benchmarks.gpu_day "$name" || missing="$missing $name"
}

install_from_wheels() {
    if [ -x .venv/bin/python ] && cmp -s deploy/engine/requirements-gpu.lock .engine/installed.lock; then return; fi
    if [ -z "$wheels" ]; then
        fail "the product (.venv) or vLLM for the GPU (.engine) is not installed here.
With the internet:    ./taskw setup setup:engine
Without the internet: on another machine with the same Python, download the wheels,
    pip download --no-deps --dest wheels uv uv_build
    pip download --no-deps --dest wheels -r requirements.lock
    pip download --no-deps --dest wheels --python-version 3.11 --only-binary=:all: -r deploy/engine/requirements-gpu.lock
copy the folder here, and run: benchmarks/gpu_day.sh --wheels wheels"
    fi
    export UV_NO_INDEX=1 UV_FIND_LINKS="$wheels" PIP_FIND_LINKS="$wheels"
    do_or_say python3 -m venv .tools/wheels
    do_or_say .tools/wheels/bin/python -m pip install --quiet --no-index --find-links "$wheels" uv
    PATH="$root/.tools/wheels/bin:$PATH"
    do_or_say uv venv --quiet --allow-existing .venv
    do_or_say uv pip sync --quiet --require-hashes requirements.lock
    for member in libs/*/pyproject.toml services/*/pyproject.toml deploy/local/pyproject.toml client/pyproject.toml cli/pyproject.toml; do
        do_or_say uv pip install --quiet --no-deps --editable "${member%/pyproject.toml}"
    done
    do_or_say deploy/engine/install .engine
}

cd "$root"
if ! nvidia-smi --list-gpus >/dev/null 2>&1; then
    [ -n "$dry_run" ] || fail "no GPU here: nvidia-smi shows none. Run this on a machine with an NVIDIA GPU and its driver." 3
    echo "gpu_day: no GPU here; this is what would run on a machine with one" >&2
fi

missing=''
if [ -z "$dry_run" ] || [ -n "$wheels" ]; then install_from_wheels; fi
part 30 nvml
part 150 fit
part 210 sleep
part 120 ladder
part 210 engine
do_or_say .venv/bin/python -m benchmarks.gpu_day table
[ -z "$missing" ] || fail "these parts did not end well:$missing; the figures of the others are in benchmarks/results/gpu_day.json"
