#!/usr/bin/env bash
# Trains on all hosts of a TPU pod slice: the same command on each; they find each other by the pod's own metadata.
#
#   launch/tpu/train.sh NAME ZONE --config=CONFIG --workdir=W --data_dir=DIR
#
# W and DIR must be folders that all hosts share (Filestore, gcsfuse). On 134, 137 and 143 it starts again.
set -uo pipefail
name=$1 zone=$2
shift 2
printf -v flags ' %q' "$@"

while true; do
  gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="cd jaxpose && python -m launch.train$flags"
  code=$?
  case "$code" in
    134 | 137 | 143) echo "ended with $code; started again from the last checkpoint" ;;
    *) exit "$code" ;;
  esac
done
