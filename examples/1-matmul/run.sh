#!/usr/bin/env bash
# One matrix product on four devices. Explained in docs/tutorial/1-matmul.md.
source "$(dirname "$0")/../setup.sh"

alpa inspect examples/1-matmul/matmul.mlir
alpa plan examples/1-matmul/matmul.mlir --mesh 2x2 -o build/examples/matmul.json
alpa plan examples/1-matmul/matmul.mlir --mesh 2x2 --memory 9MiB -o build/examples/matmul-small.json
alpa compare build/examples/matmul.json build/examples/matmul-small.json
alpa verify build/examples/matmul-small.json examples/1-matmul/matmul.mlir
