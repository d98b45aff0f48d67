#!/usr/bin/env bash
# A learner on the first node and an actor on each core of the others:
#
#   sbatch deploy/slurm.sh --preset=paper --env=pong --workdir=/shared/runs/pong
#
# The workdir must be storage that all nodes see. A requeued job resumes.
#SBATCH --job-name=metagrad
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --signal=TERM@60
#SBATCH --requeue
set -euo pipefail

env=pong workdir=
for argument in "$@"; do
  case $argument in
    --env=*) env=${argument#*=} ;;
    --workdir=*) workdir=${argument#*=} ;;
  esac
done
: "${workdir:?name a --workdir that all nodes see}"

learner=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
certs=$(mktemp -d "$HOME/.metagrad_XXXXXX")  # Of mode 0700, seen by all nodes.
trap 'rm -rf "$certs"' EXIT
seed-metagrad make-certs --folder="$certs/certs" --hosts="$learner"

srun --nodes=1 --ntasks=1 --nodelist="$learner" \
  seed-metagrad learner "$@" --address=0.0.0.0:50051 \
  --token_file="$certs/certs/token" --cert_file="$certs/certs/learner.pem" \
  --key_file="$certs/certs/learner.key" &

# shellcheck disable=SC2016  # Each node counts its own cores.
srun --nodes=$((SLURM_NNODES - 1)) --ntasks-per-node=1 --exclude="$learner" \
  bash -c '
    env=$1 learner=$2 certs=$3
    for core in $(seq 0 $(($(nproc) - 1))); do
      seed-metagrad actor --env="$env" --index=$((SLURM_PROCID * 1000 + core)) \
        --address="$learner:50051" --token_file="$certs/token" \
        --ca_file="$certs/ca.pem" &
    done
    wait' actors "$env" "$learner" "$certs/certs" &
wait
