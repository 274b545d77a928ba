#!/usr/bin/env bash
# A plan for two machines with different devices; planned and simulated only. Explained in docs/tutorial/5-mixed-cluster.md.
source "$(dirname "$0")/../setup.sh"

alpa clusters examples/5-mixed-cluster/lab.toml
alpa plan tests/models/gpt_small.mlirbc --cluster examples/5-mixed-cluster/lab.toml -o build/examples/lab.json
alpa simulate build/examples/lab.json --trace build/examples/lab-trace.json
alpa report build/examples/lab.json -o build/examples/lab.html
