"""Exports the models of models.py from JAX as portable StableHLO.

    python export.py [--only REGEX] [--out DIR] [--text] [--no-golden]
    python export.py --paper DIR [--only REGEX]      the large ones that plans are compared on (shapes only)

writes for each model
    NAME.mlirbc            the step, portable bytecode: what `alpa` reads
    NAME.json              what is not in the module: names, roles, initial values, results
    NAME.npz               golden values: inputs, outputs after 1 and 5 steps on one batch
    NAME.mlir.gz, NAME.generic.mlir.gz      text forms, with --text
"""
import argparse
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np
import ml_dtypes

from common import make_step, opt_spec
from models import CONFIGS
from stablehlo_export import Step, export


def model_step(name, cfg):
    """The Step of one configuration of models.py."""
    pspec, sspec, bspec, loss = cfg.model(cfg)
    ospec = opt_spec(pspec, cfg, sspec)
    return Step(name, make_step(loss, cfg),
                [("param", pspec), ("opt_state", ospec), ("batch", bspec)],
                base=np.float32 if cfg["dtype"] == "fp32" else ml_dtypes.bfloat16, config=cfg,
                full=False if cfg.get("remat") else None,   # its values are those without remat
                forward=lambda p, o, b: loss(p, o.get("state"), b)[0])


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--only", help="regular expression of names")
    ap.add_argument("--out", default=".")
    ap.add_argument("--paper", metavar="DIR", help="write the sizes of the papers there, and only those")
    ap.add_argument("--text", action="store_true", help="also the text forms")
    ap.add_argument("--no-golden", action="store_true", help="do not run the step")
    a = ap.parse_args()
    only = a.only or (".*" if a.paper else ".*_(tiny|mini|small|family).*")
    out = a.paper or a.out
    os.makedirs(out, exist_ok=True)
    for name, cfg in CONFIGS.items():
        if re.fullmatch(only, name) and (not a.paper or cfg.get("paper")):
            export(model_step(name, cfg), out, text=a.text, losses_only=name.endswith("_small"),
                   golden=not a.no_golden and not cfg.get("paper"))


if __name__ == "__main__":
    main()
