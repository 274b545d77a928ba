#!/usr/bin/env python3
"""tools/check_includes on small trees that break one rule each."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECK = Path(__file__).parent / "check_includes"


def check(files):
    """Exit status and output lines of check_includes on a tree with these files (path -> text)."""
    with tempfile.TemporaryDirectory() as root:
        for name, text in {"src/alpa/base/units.h": "#include <chrono>\n", **files}.items():
            path = Path(root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        run = subprocess.run([sys.executable, CHECK, root], capture_output=True, text=True)
        assert run.stderr == "", run.stderr
        return run.returncode, run.stdout.splitlines()


class CheckIncludes(unittest.TestCase):
    def assert_clean(self, files):
        self.assertEqual(check(files), (0, []))

    def assert_one(self, files, *parts):
        status, lines = check(files)
        self.assertEqual((status, len(lines)), (1, 1), lines)
        for part in parts:
            self.assertIn(part, lines[0])

    def test_accepts_base_itself_and_the_row(self):
        self.assert_clean({
            "src/alpa/plan/plan.h": '#include "alpa/base/units.h"\n#include "alpa/plan/stage.h"\n'
                                    '#include "alpa/sharding/spec.h"\n#include <fmt/format.h>\n',
            "src/alpa/driver/run.cc": '#include "alpa/runtime/run.h"\n#include "alpa/xla/engine.h"\n',
            "tools/alpa/main.cc": '#include "alpa/driver/run.h"\n#include <CLI/CLI.hpp>\n',
            "tests/whole_test.cc": '#include "alpa/cost/cost.h"\n#include "alpa/runtime/run.h"\n#include "helper.h"\n',
        })

    def test_prints_file_line_and_rule(self):
        self.assert_one({"src/alpa/ir/module.cc": '#include <vector>\n\n  #  include "alpa/plan/plan.h"\n'},
                        "src/alpa/ir/module.cc:3: alpa/plan/plan.h: ", "ir may include base, ir, not plan")

    def test_cost_and_plan_do_not_include_each_other(self):
        self.assert_one({"src/alpa/cost/a.h": '#include "alpa/plan/plan.h"\n'}, "not plan")
        self.assert_one({"src/alpa/plan/a.h": '#include "alpa/cost/cost.h"\n'}, "not cost")

    def test_inter_does_not_include_intra(self):
        self.assert_one({"src/alpa/inter/dp.cc": '#include "alpa/intra/solve.h"\n'}, "interface of its own")

    def test_runtime_never_includes_cost_intra_inter(self):
        for folder in ("cost", "intra", "inter"):
            self.assert_one({"src/alpa/runtime/run.cc": f'#include "alpa/{folder}/x.h"\n'}, f"not {folder}", "never")

    def test_tests_obey_the_row_of_their_folder(self):
        self.assert_one({"src/alpa/ir/module_test.cc": '#include "alpa/driver/run.h"\n'}, "module_test.cc:1")

    def test_xla_headers_only_in_xla(self):
        for header in ("xla/shape.h", "tensorflow/core/x.h", "mlir/IR/x.h", "llvm/ADT/x.h", "stablehlo/d/x.h",
                       "absl/status/status.h", "tsl/platform/x.h"):
            self.assert_clean({"src/alpa/xla/a.cc": f'#include "{header}"\n'})
            self.assert_one({"src/alpa/runtime/a.cc": f"#include <{header}>\n"}, "a.cc:1", "src/alpa/xla only")
            self.assert_one({"tests/a_test.cc": f'#include "{header}"\n'}, "tests/a_test.cc:1", "src/alpa/xla only")

    def test_xla_headers_do_not_leak_through_headers_of_ours(self):
        self.assert_one({
            "src/alpa/xla/engine.h": '#include "alpa/xla/inner.h"\n',
            "src/alpa/xla/inner.h": '#include "alpa/xla/engine.h"\n#include "xla/shape.h"\n',
            "src/alpa/runtime/run.cc": '#include "alpa/xla/engine.h"\n',
        }, "src/alpa/runtime/run.cc:1", "alpa/xla/engine.h > alpa/xla/inner.h > xla/shape.h")

    def test_headers_of_ours_are_written_from_the_root(self):
        for header in ("plan.h", "../cost/cost.h"):
            self.assert_one({"src/alpa/ir/module.cc": f'#include "{header}"\n'}, "written from the root")

    def test_tools_are_thin(self):
        self.assert_one({"tools/alpa/main.cc": '#include "alpa/ir/module.h"\n'}, "tools may include base, report, driver")

    def test_every_folder_needs_a_row(self):
        self.assert_one({"src/alpa/magic/m.cc": "\n"}, "magic", "no row")

    def test_cmake_dependencies_obey_the_table(self):
        self.assert_clean({"src/alpa/runtime/CMakeLists.txt": "alpa_library(runtime DEPS plan xla_api PACKAGES fmt::fmt)\n"})
        self.assert_one({"src/alpa/ir/CMakeLists.txt": "\nalpa_library(ir DEPS base cost)\n"},
                        "src/alpa/ir/CMakeLists.txt:2: cost: ")


if __name__ == "__main__":
    unittest.main()
