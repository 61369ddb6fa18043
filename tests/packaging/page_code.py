"""The code blocks of the documentation, each with the worlds in which it runs.

A block runs in the world that its text shows, else in that of the block before it. A comment that readers do not see says
otherwise: ``<!-- runs: tensorflow jax -->``, or why it is not run: ``<!-- runs not: ... -->``.
"""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {'soft_labels.md': 'tests/soft_labels/test_page_blocks.py'}  # which runs every block
PAGES = (ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')))
WORLDS = 'python', 'config', 'torch', 'keras', 'tensorflow', 'jax', 'lightning', 'monai', 'smp'  # keras: on any backend
SHOWN_BY = {
    'config': r'^(custom_imports|_base_|model_wrapper_cfg|val_evaluator|default_hooks) =',
    'keras': r'\b(keras|keras_plugin|tensorflow)\b',
    'torch': r'\b(torch|mmseg|mmseg_plugin)\b',
    'python': r'^(import|from) ',
}
FENCE = re.compile(r'^( *)```(\w+)\n(.*?)^ *```$', re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    page: str
    line: int  # of the fence
    language: str
    text: str
    worlds: tuple  # of Python and console blocks; () where a comment says why it is not run


def blocks(page):
    """Every fenced block of a page, in order."""
    content, found, last = page.read_text(encoding='utf-8'), [], ('python',)
    for match in FENCE.finditer(content):
        said = re.search(r'<!-- runs( not)?: ([^>]*) -->\s*\Z', content[: match.start()])
        text = re.sub(rf'^{match[1]}', '', match[3], flags=re.MULTILINE)
        if match[2] not in ('python', 'console') and not said:
            worlds = ()
        elif said:
            worlds = () if said[1] else tuple(said[2].split())
        elif match[2] == 'console':
            worlds = ('python',)
        else:
            shown = [world for world, mark in SHOWN_BY.items() if re.search(mark, text, re.MULTILINE)]
            worlds = tuple(shown[:1]) or last
        if worlds and worlds != ('config',):
            last = worlds
        line = content[: match.start()].count('\n') + 1
        found.append(Block(page.name, line, match[2], text, worlds))
    return found


def blocks_of_worlds(worlds, *pages):
    """Page -> its blocks that run in one of the worlds."""
    found = {
        page.name: [b for b in blocks(page) if set(worlds) & set(b.worlds)]
        for page in PAGES
        if page.name not in ELSEWHERE
    }
    return {name: some for name, some in found.items() if some and (not pages or name in pages)}
