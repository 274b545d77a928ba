#!/usr/bin/env bash
# A GPT in two pipeline stages of two devices each. Explained in docs/tutorial/3-gpt-two-stages.md.
source "$(dirname "$0")/../setup.sh"

alpa plan tests/models/gpt_tiny.mlirbc --cluster local:1x4 --stages 2 --microbatches 4 -o build/examples/gpt.json
alpa run tests/models/gpt_tiny.mlirbc --plan build/examples/gpt.json --steps 5 --trace build/examples/gpt-trace.json
alpa verify build/examples/gpt.json tests/models/gpt_tiny.mlirbc
alpa report build/examples/gpt.json --trace build/examples/gpt-trace.json -o build/examples/gpt.html
