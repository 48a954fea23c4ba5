"""Prints every leaf of a JSON file as `path<TAB>value`, path segments joined by `/`; fails on bad JSON."""
import json
import sys


def walk(path, node):
    if isinstance(node, dict):
        for key, value in node.items():
            walk(path + [key], value)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            walk(path + [str(index)], value)
    else:
        text = node if isinstance(node, str) else json.dumps(node)
        print("/".join(path).replace("\n", " ") + "\t" + text.replace("\\", "\\\\").replace("\n", "\\n"))


with open(sys.argv[1], encoding="utf-8") as file:
    if sys.argv[2:] == ["--lines"]:
        for number, line in enumerate(file):
            walk([str(number)], json.loads(line))
    else:
        walk([], json.load(file))
