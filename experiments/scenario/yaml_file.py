"""YAML, as far as a person writes it: what would fill the memory, or never end, is refused before it is made."""

from __future__ import annotations

import re
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML has it: ten times as fast
MOST_VALUES = 5_000_000  # with each alias (``*name``) as large as what it stands for
MOST_DEPTH = 100  # of values in values
_BRACKET, _INDENTED = re.compile(r"[][{}]"), re.compile(r"^[ \t?:-]{200}", re.MULTILINE)


def read(text: str) -> Any:
    """The value of the document ``text``. Raises yaml.YAMLError, or ValueError for what is larger than it looks."""
    if _may_be_deep(text):
        _check_depth(text)
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}, set()) > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES:,} values: some stand for many (*name)")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _may_be_deep(text: str) -> bool:
    depth = deepest = 0
    for bracket in _BRACKET.finditer(text):
        depth += 1 if bracket[0] in "[{" else -1
        deepest = max(deepest, depth)
    return deepest > MOST_DEPTH or _INDENTED.search(text) is not None


def _check_depth(text: str) -> None:
    """libyaml would go down as deep as the text does, and no further than the stack."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise ValueError(f"values in values, more than {MOST_DEPTH} deep")


def _check_keys(node: yaml.MappingNode) -> None:
    """YAML forbids a key to stand twice (YAML 1.2 section 3.2.1.1); the loader would take the last one."""
    seen = set[str]()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                raise ValueError(f"line {key.start_mark.line + 1}: the key {key.value} is there twice")
            seen.add(key.value)


def _values(node: yaml.Node, known: dict[int, int], above: set[int]) -> int:
    """How many values ``node`` comes to, those that it repeats counted each time."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in above:
        raise ValueError("a value that holds itself (*name)")
    if id(node) not in known:
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
        above.add(id(node))
        children = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_values(child, known, above) for child in children)
        above.discard(id(node))
    return known[id(node)]
