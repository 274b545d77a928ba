#!/usr/bin/env bash
# A flax model with an optax optimizer: three lines more in a script that trains. Explained in docs/tutorial/7-flax-optax.md.
source "$(dirname "$0")/../setup.sh"

python3 examples/7-flax-optax/train.py --export build/examples/flax
alpa plan build/examples/flax/step.mlirbc --mesh 2x2 -o build/examples/flax/plan.json
alpa run build/examples/flax/step.mlirbc --plan build/examples/flax/plan.json --steps 60 \
  --init build/examples/flax/init.npz --data build/examples/flax/data.npz
