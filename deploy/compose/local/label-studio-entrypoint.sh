#!/bin/sh
# What the official image's entry point does with the variables that compose.yaml sets, and no more.
set -eu

# shellcheck disable=SC1090
. "$ENV_INJECT_SOURCES"
exec label-studio start --no-browser --internal-host 0.0.0.0 --port 8080 --data-dir /label-studio/data
