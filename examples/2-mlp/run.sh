#!/usr/bin/env bash
# A training step of a small network on four devices. Explained in docs/tutorial/2-mlp.md.
source "$(dirname "$0")/../setup.sh"

alpa inspect tests/models/mlp_tiny.mlirbc
alpa run tests/models/mlp_tiny.mlirbc --devices 4 --steps 20
alpa plan tests/models/mlp_tiny.mlirbc --mesh 2x2 --methods -o build/examples/mlp.json
alpa run tests/models/mlp_tiny.mlirbc --plan build/examples/mlp.json --check tests/models/mlp_tiny.npz
