"""What mkdocs does to the pages beside rendering them. The pages are written to be read in the repository; for the site

* files outside of docs/ that a page links to become part of it: Markdown as pages, the rest as it is, all below repository/;
* `<!-- include: PATH -->` on a line of its own becomes the file as a block of code, `<!-- keys: PATH -->` the keys that a
  JSON Schema describes as tables;
* the entries DESIGN and FOLDERS of the navigation become the pages of docs/design and the READMEs of src/alpa.
"""
import json
import os
import posixpath
import re

from mkdocs.structure.files import File

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)\s#]+)(#[^)\s]*)?(?=\))")
FENCE = re.compile(r"^(```.*?^```)$", re.S | re.M)
LANGUAGES = {".py": "python", ".toml": "toml", ".mlir": "text", ".sh": "bash", ".json": "json"}


def site_place(path):
    """Where the file at `path`, relative to the root of the repository, lies among the sources of the site."""
    inside = path.startswith("docs/") and path != "docs/README.md"
    return path[len("docs/"):] if inside else "repository/" + path


def repository_place(place):
    return place[len("repository/"):] if place.startswith("repository/") else "docs/" + place


def target_of(path, link):
    """The file that a link in the file at `path` means, relative to the root; None where there is no such file."""
    there = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    if os.path.isdir(os.path.join(ROOT, there)):
        there += "/README.md"
    return there if not there.startswith("..") and os.path.isfile(os.path.join(ROOT, there)) else None


def outside_of_code(text, change):
    """The text with change() applied to all but fenced blocks."""
    return "".join(part if part.startswith("```") else change(part) for part in FENCE.split(text))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def on_config(config):
    def entries(folder, names):
        return [posixpath.join(folder, name) for name in names]
    design = entries("design", sorted(os.listdir(os.path.join(ROOT, "docs", "design"))))
    # In the order of the data's way, as the README of the repository lists them.
    folders = entries("repository", re.findall(r"\((src/alpa/\w+/README\.md)\)", read("README.md")))

    def expand(item):
        if isinstance(item, dict):
            return {title: expand(below) for title, below in item.items()}
        if isinstance(item, list):
            out = []
            for below in map(expand, item):
                out += {"DESIGN": design, "FOLDERS": folders}.get(below, [below]) if isinstance(below, str) else [below]
            return out
        return item
    config["nav"] = expand(config["nav"])
    return config


def on_files(files, config):
    waiting = [repository_place(f.src_uri) for f in files.documentation_pages()]
    waiting += ["docs/README.md", *re.findall(r"\((src/alpa/\w+/README\.md)\)", read("README.md"))]
    seen = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        place = site_place(path)
        if not files.get_file_from_path(place):
            files.append(File.generated(config, place, abs_src_path=os.path.join(ROOT, path)))
        if path.endswith(".md"):
            links = [target_of(path, link) for link, _ in LINK.findall(FENCE.sub("", read(path)))]
            waiting += [there for there in links if there]
    return files


def on_page_content(html, page, config, files):
    """Keeps numbers and their per cent together where columns are narrow."""
    return re.sub(r"<td[^>]*>.*?</td>", lambda cell: re.sub(r"(?<=\d) %", "\u00a0%", cell.group(0)), html, flags=re.S)


def key_tables(schema):
    """The objects of a JSON Schema, each as a table of its keys."""
    def kind(of):
        if "$ref" in of:
            name = of["$ref"].split("/")[-1]
            return f"[{name}](#{name})" if "properties" in schema["$defs"][name] else name.replace("_", " ")
        if "enum" in of:
            return ", ".join(f"`{value}`" for value in of["enum"])
        if "const" in of:
            return f"`{of['const']}`"
        if "oneOf" in of:
            return " or ".join(map(kind, of["oneOf"]))
        if of.get("type") == "array":
            return "array of " + kind(of.get("items", {})) if "items" in of else "array"
        if isinstance(of.get("additionalProperties"), dict):
            return "object, each " + kind(of["additionalProperties"])
        words = of.get("type", "any")
        return " or ".join(words) if isinstance(words, list) else words

    out = []
    for name, of in schema["$defs"].items():
        if "properties" not in of:
            continue
        out += [f"### `{name}` {{ #{name} }}", "", of.get("description", ""), "", "| key | value | needed | meaning |", "|---|---|---|---|"]
        for key, value in of["properties"].items():
            about = value.get("description") or (schema["$defs"][value["$ref"].split("/")[-1]].get("description", "")
                                                 if "$ref" in value else "")
            about = about.replace("|", "\\|")
            out.append(f"| `{key}` | {kind(value)} | {'yes' if key in of.get('required', []) else ''} | {about} |")
        out.append("")
    return "\n".join(out)


def on_page_markdown(markdown, page, config, files):
    path = repository_place(page.file.src_uri)

    def include(m):
        there = target_of(path, m.group(1))
        if not there:
            raise FileNotFoundError(f"{path}: no file {m.group(1)}")
        language = LANGUAGES.get(os.path.splitext(there)[1], "text")
        return f'``` {{ .{language} title="{there}" }}\n{read(there).rstrip()}\n```'

    def move(m):
        there = target_of(path, m.group(1))
        if not there:
            return m.group(0)  # mkdocs warns of it
        return posixpath.relpath(site_place(there), posixpath.dirname(page.file.src_uri) or ".") + (m.group(2) or "")
    markdown = outside_of_code(markdown, lambda text: LINK.sub(move, text))
    markdown = re.sub(r"^<!-- include: (\S+) -->$", include, markdown, flags=re.M)
    return re.sub(r"^<!-- keys: (\S+) -->$", lambda m: key_tables(json.loads(read(target_of(path, m.group(1))))), markdown,
                  flags=re.M)
