#!/usr/bin/env bash
# A model written in plain JAX: exported, trained, stopped and resumed. Explained in docs/tutorial/6-own-model.md.
source "$(dirname "$0")/../setup.sh"

python3 examples/6-own-model/export.py build/examples/own
alpa inspect build/examples/own/step.mlirbc
rm -rf build/examples/own/checkpoints
alpa run build/examples/own/step.mlirbc --init build/examples/own/init.npz --data build/examples/own/data.npz \
  --devices 4 --steps 200 --checkpoint build/examples/own/checkpoints
alpa run build/examples/own/step.mlirbc --init build/examples/own/init.npz --data build/examples/own/data.npz \
  --devices 2 --steps 400 --checkpoint build/examples/own/checkpoints --resume --loss-curve build/examples/own/loss.svg
