"""Writes the broken inputs of this folder that are not text: python make.py (needs JAX)."""
import gzip
import io
import json
import os
import zipfile

import numpy as np
import jax
import jax.numpy as jnp
from jax import export as jexport

HERE = os.path.dirname(os.path.abspath(__file__))
jax.config.update("jax_include_full_tracebacks_in_locations", False)
jax.config.update("jax_hlo_source_file_canonicalization_regex", ".*")


def put(name, data):
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def good(name):
    with open(os.path.join(HERE, "..", name), "rb") as f:
        return f.read()


# ---- modules ----
bc = good("mlp_tiny_sgd.mlirbc")
put("empty.mlir", "")
put("empty.mlirbc", "")
put("garbage.bin", np.random.RandomState(0).bytes(1000))
put("truncated.mlirbc", bc[: len(bc) // 2])
put("header_only.mlirbc", bc[:16])
mid = bytearray(bc)
mid[len(bc) // 2: len(bc) // 2 + 16] = b"\xff" * 16
put("corrupt.mlirbc", bytes(mid))
at = bc.index(b"StableHLO_v")
end = bc.index(b"\0", at)
put("future_version.mlirbc", bc[:at] + b"StableHLO_v99.9.9".ljust(end - at, b"9")[: end - at] + bc[end:])

gz = good("mlp_tiny.mlir.gz")
put("truncated.mlir.gz", gz[: len(gz) // 2])
bad = bytearray(gz)
bad[len(gz) // 2] ^= 0x55
put("corrupt.mlir.gz", bytes(bad))
put("not_gzip.mlir.gz", gzip.decompress(gz)[:500])

f32 = lambda *s: jax.ShapeDtypeStruct(s, np.float32)
b, = jexport.symbolic_shape("b")
sgd = lambda w, x: (w - 0.1 * jax.grad(lambda w: ((x @ w) ** 2).mean())(w), ((x @ w) ** 2).mean())
put("symbolic_batch.mlirbc", jexport.export(jax.jit(sgd))(f32(4, 3), f32(b, 4)).mlir_module_serialized)
put("lapack.mlirbc", jexport.export(jax.jit(lambda a: jnp.linalg.eigvals(a).real.sum()),
                                    disabled_checks=[jexport.DisabledSafetyCheck.custom_call("lapack_sgeev_ffi")]
                                    )(f32(4, 4)).mlir_module_serialized)

# ---- golden files of mlp_tiny_sgd, damaged ----
z = good("mlp_tiny_sgd.npz")
put("truncated.npz", z[:20000])
put("corrupt.npz", z[:300] + b"\x55" * 300 + z[600:3000])
w = np.load(io.BytesIO(z))
small = {"in/0000": w["in/0000"], "losses": w["losses"]}


def npz(entries, save=np.savez):
    o = io.BytesIO()
    save(o, **entries)
    return o.getvalue()


put("missing_entry.npz", npz(small))
put("compressed.npz", npz(small, np.savez_compressed))
put("wrong_shape.npz", npz({**small, "in/0000": np.zeros((3, 3), np.float32)}))
put("wrong_type.npz", npz({**small, "in/0000": np.zeros(128, np.complex64)}))
put("fortran.npz", npz({**small, "in/0001": np.asfortranarray(w["in/0001"][:4, :4])}))
o = io.BytesIO()
with zipfile.ZipFile(o, "w") as f:
    f.writestr(zipfile.ZipInfo("in/0000.npy"), b"not a numpy array")
put("not_npy.npz", o.getvalue())

# ---- sidecars of mlp_tiny_sgd, damaged ----
j = json.loads(good("mlp_tiny_sgd.json"))
slim = {"name": j["name"], "args": j["args"], "outputs": j["outputs"], "losses": j["losses"]}


def change(name, edit):
    c = json.loads(json.dumps(slim))
    edit(c)
    put(name, json.dumps(c))


put("truncated.json", json.dumps(slim)[:700])
put("not_json.json", "name = 'mlp'\n")
change("no_args.json", lambda c: c.pop("args"))
change("fewer_args.json", lambda c: c["args"].pop())
change("wrong_shape.json", lambda c: c["args"][1].update(shape=[64, 127]))
change("wrong_dtype.json", lambda c: c["args"][1].update(dtype="float64"))
change("unknown_init.json", lambda c: c["args"][1].update(init={"kind": "normal", "value": 1}))
change("unknown_role.json", lambda c: c["args"][1].update(role="teapot"))
change("duplicate_index.json", lambda c: c["args"][1].update(index=0))
