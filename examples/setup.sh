# What each run.sh begins with: the root of the repository, alpa and JAX on the path, a folder for what is written.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
alpa_cache=${ALPA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/alpa}
PATH=${ALPA_BUILD:-$PWD/build}:$PATH
if ! python3 -c 'import jax' 2>/dev/null; then PATH=$alpa_cache/python-venv/bin:$alpa_cache/jax-venv/bin:$PATH; fi
mkdir -p build/examples
