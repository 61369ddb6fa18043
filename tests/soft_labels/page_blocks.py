"""The code of docs/soft_labels.md. The blocks of one world continue one another."""

import contextlib
import re
import tempfile
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'soft_labels.md'


def blocks(world):
    """The page's blocks for 'PyTorch' or 'Keras', or its MMSegmentation 'config', in their order."""
    text, found = PAGE.read_text(encoding='utf-8'), []
    for match in re.finditer(r'^```python\n(.*?)^```$', text, re.DOTALL | re.MULTILINE):
        of = re.findall(r'\bIn (?:a )?(PyTorch|Keras)\b', text[: match.start()])[-1]
        if world == ('config' if '_base_' in match[1] else of):
            found.append(match[1])
    return found


def run(world, without=()):
    """The names that the blocks of a world define, but for blocks with a word of ``without``."""
    names = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # where the page saves models
        for block in blocks(world):
            if not any(word in block for word in without):
                exec(compile(block, PAGE.name, 'exec'), names)
    return names
