#!/usr/bin/env python3
"""docs/plan.schema.json against what alpa writes and reads: plan_file_test.py ALPA."""
import copy
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

ALPA = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODELS = os.path.join(ROOT, "tests", "models")
with open(os.path.join(ROOT, "docs", "plan.schema.json")) as file:
    SCHEMA = json.load(file)
WORDS = {"$schema", "title", "description", "$defs", "$ref", "oneOf", "type", "required", "additionalProperties", "properties", "items",
         "enum", "const", "pattern", "minimum", "maximum", "minItems"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "integer": int, "number": (int, float)}


def violations(value, schema, where="$"):
    """What of `value` is not as the schema says; knows the words that ours uses."""
    out = []
    if unknown := set(schema) - WORDS:
        raise ValueError(f"the test does not know {unknown}")
    if "$ref" in schema:
        out += violations(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], where)
    if "oneOf" in schema:
        each = [violations(value, s, where) for s in schema["oneOf"]]
        if sum(not e for e in each) != 1:
            out += [f"{where} is {sum(not e for e in each)} of the kinds"] + min(each, key=len)
    if "type" in schema:
        if not isinstance(value, TYPES[schema["type"]]) or isinstance(value, bool) != (schema["type"] == "boolean"):
            return out + [f"{where} is no {schema['type']}"]
    if "enum" in schema and value not in schema["enum"] or "const" in schema and value != schema["const"]:
        out.append(f"{where} is {value!r}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        out.append(f"{where} is {value!r}")
    if "minimum" in schema and value < schema["minimum"] or "maximum" in schema and value > schema["maximum"]:
        out.append(f"{where} is {value!r}")
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            out.append(f"{where} is too short")
        for i, item in enumerate(value):
            out += violations(item, schema.get("items", {}), f"{where}[{i}]")
    if isinstance(value, dict):
        own = schema.get("properties", {})
        out += [f"{where} lacks {key}" for key in schema.get("required", []) if key not in value]
        for key, item in value.items():
            if key in own:
                out += violations(item, own[key], f"{where}.{key}")
            elif schema.get("additionalProperties", True) is False:
                out.append(f"{where} has {key}")
            elif isinstance(schema.get("additionalProperties"), dict):
                out += violations(item, schema["additionalProperties"], f"{where}.{key}")
    return out


def places(value, schema):
    """Objects within `value` with the keys that they have to have; of lists the first entry."""
    if "$ref" in schema:
        yield from places(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    for s in schema.get("oneOf", []):
        if not violations(value, s):
            yield from places(value, s)
    if isinstance(value, dict):
        for key in schema.get("required", []):
            yield value, key
        for key, item in value.items():
            if key in schema.get("properties", {}):
                yield from places(item, schema["properties"][key])
    if isinstance(value, list) and value:
        yield from places(value[0], schema.get("items", {}))


class PlanFile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        model = lambda name: os.path.join(MODELS, name + ".mlirbc")
        cls.plans = {}
        for name, words in {
            "mesh": ["plan", model("mlp_tiny"), "--mesh", "2x2", "-o"],
            "microbatches": ["plan", model("gpt_tiny_bf16"), "--mesh", "2", "--microbatches", 4, "-o"],
            "by hand": ["run", model("mlp_tiny"), "--devices", 4, "--steps", 1, "--save-plan"],
            "stages": ["plan", model("gpt_tiny"), "--cluster", "local:1x8", "--stages", 2, "--microbatches", 4, "-o"],
            "halves": ["plan", model("gpt_tiny_bf16"), "--cluster", "local:1x4", "--stages", 2, "--microbatches", 4, "--half-sums", "-o"],
            "unstacked": ["plan", model("gpt_scan"), "--cluster", "local:1x4", "--stages", 2, "--microbatches", 2, "-o"],
            "branches": ["plan", model("two_tower"), "--cluster", "local:1x4", "--stages", 3, "-o"],
            "random": ["plan", model("gpt_tiny"), "--cluster", "local:1x8", "--random", 3, "-o"],
            "family": ["plan", model("mlp_family_b16"), model("mlp_family_b8"), "--mesh", "2", "-o"],
        }.items():
            path = os.path.join(cls.temporary.name, name + ".json")
            done = subprocess.run([ALPA, *map(str, words), path, "-q"], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            with open(path) as f:
                cls.plans[name] = json.load(f)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def reads(self, plan):
        """What alpa says to a plan; empty: it reads it."""
        path = os.path.join(self.temporary.name, "changed.json")
        with open(path, "w") as f:
            json.dump(plan, f)
        done = subprocess.run([ALPA, "compare", path, path], capture_output=True, text=True)
        return "" if done.returncode == 0 else done.stderr

    def test_what_alpa_writes_is_valid(self):
        for name, plan in self.plans.items():
            with self.subTest(plan=name):
                self.assertEqual(violations(plan, SCHEMA), [])

    def test_by_the_library_too_where_there_is_one(self):
        try:
            import jsonschema
        except ImportError:
            self.skipTest("no jsonschema")
        validator = jsonschema.Draft202012Validator(SCHEMA)
        jsonschema.Draft202012Validator.check_schema(SCHEMA)
        for name, plan in self.plans.items():
            self.assertEqual([e.message for e in validator.iter_errors(plan)], [], name)
        broken = copy.deepcopy(self.plans["mesh"])
        broken["inputs"][0] = "x"
        self.assertFalse(validator.is_valid(broken))

    def test_alpa_reads_them_and_misses_what_the_schema_misses(self):
        for name in ("mesh", "stages", "family"):
            self.assertEqual(self.reads(self.plans[name]), "")
            for number, (_, key) in enumerate(list(places(self.plans[name], SCHEMA))):
                plan = copy.deepcopy(self.plans[name])
                holder, _ = list(places(plan, SCHEMA))[number]
                del holder[key]
                with self.subTest(plan=name, without=key):
                    self.assertNotEqual(violations(plan, SCHEMA), [])
                    # Without its first key it is no plan of any kind.
                    self.assertIn("alpa_plan" if key.startswith("alpa_") else key, self.reads(plan))

    def test_what_may_be_left_out(self):
        for name, keys in {"mesh": ["ops", "operands", "sums", "prediction", "notes"], "stages": ["notes"], "family": ["notes"]}.items():
            plan = copy.deepcopy(self.plans[name])
            for key in keys:
                plan.pop(key, None)
            self.assertEqual(violations(plan, SCHEMA), [])
            self.assertEqual(self.reads(plan), "")

    def test_the_example_of_the_page(self):
        with open(os.path.join(ROOT, "docs", "plan-file.md")) as f:
            example = json.loads(re.search(r"```json\n(.*?)```", f.read(), re.S).group(1))
        self.assertEqual(violations(example, SCHEMA), [])
        self.assertEqual(self.reads(example), "")

    def test_versions(self):
        plan = copy.deepcopy(self.plans["mesh"])
        plan["alpa_plan"] = 3
        self.assertNotEqual(violations(plan, SCHEMA), [])
        self.assertIn("version 3", self.reads(plan))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
