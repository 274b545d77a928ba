#!/usr/bin/env bash
# A mixture of experts on four devices. Explained in docs/tutorial/4-moe.md.
source "$(dirname "$0")/../setup.sh"

alpa plan tests/models/moe_tiny.mlirbc --mesh 1x4 --methods -o build/examples/moe.json
alpa run tests/models/moe_tiny.mlirbc --plan build/examples/moe.json --check tests/models/moe_tiny.npz
