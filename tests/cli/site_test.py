#!/usr/bin/env python3
"""The documents: site_test.py. Every link in a page of the repository leads to a file, and to a heading where it names one; the site
can be built without a warning (skipped where ./dev docs has not installed mkdocs), and loads nothing from elsewhere."""
import glob
import json
import os
import re
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.environ.get("ALPA_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "alpa")
MKDOCS = os.path.join(CACHE, "mkdocs-venv", "bin", "python")
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)")

ELSEWHERE = re.compile(r'<(?:script|img|iframe|link rel="(?:stylesheet|preconnect|icon)")[^>]*(?:src|href)="(?:https?:)?//[^"]*"')


def pages():
    found = glob.glob(os.path.join(ROOT, "*.md"))
    for folder in ("docs", "examples", "src", "tests", "bench", "python"):
        found += glob.glob(os.path.join(ROOT, folder, "**", "*.md"), recursive=True)
    return found


def text_of(path):
    with open(path, encoding="utf-8") as f:
        return re.sub(r"^```.*?^```$", "", f.read(), flags=re.S | re.M)


def anchors(path):
    """What links can name in a page: headings as GitHub and mkdocs make ids of them, and the tables of the schema."""
    text, found = text_of(path), set()
    if "<!-- keys" in text:
        with open(os.path.join(ROOT, "docs", "plan.schema.json"), encoding="utf-8") as f:
            found.update(json.load(f)["$defs"])
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        word = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]|\]\(.*?\)", "", heading).lower()).strip()
        found.add(re.sub(r" ", "-", word))
        found.add(re.sub(r"[-\s]+", "-", word))
    return found


class Site(unittest.TestCase):
    def test_links_lead_somewhere(self):
        wrong = []
        for page in pages():
            for path, anchor in LINK.findall(text_of(page)):
                there = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
                if not os.path.exists(there):
                    wrong.append(f"{os.path.relpath(page, ROOT)}: {path}")
                elif anchor and there.endswith(".md") and anchor not in anchors(there):
                    wrong.append(f"{os.path.relpath(page, ROOT)}: {path}#{anchor}")
        self.assertEqual(wrong, [])

    @unittest.skipUnless(os.path.exists(MKDOCS), "no mkdocs; ./dev docs installs it")
    def test_is_built_without_warnings_and_is_whole(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([MKDOCS, "-m", "mkdocs", "build", "--strict", "--site-dir", folder], cwd=ROOT, text=True,
                                  capture_output=True, env=dict(os.environ, NO_MKDOCS_2_WARNING="1"))
            self.assertEqual(done.returncode, 0, done.stderr)
            built = glob.glob(os.path.join(folder, "**", "*.html"), recursive=True)
            self.assertGreater(len(built), 40)
            for page in built:
                with open(page, encoding="utf-8") as f:
                    html = f.read()
                self.assertEqual(ELSEWHERE.findall(html), [], page)
                self.assertNotIn("<!-- include", html)
                self.assertNotIn("<!-- keys", html)


if __name__ == "__main__":
    unittest.main()
