"""The page of one ``make bench``: bench.md and its plots, from the raw numbers."""

from benchmarks import plots, tables, targets
from benchmarks.areas import AREAS


def write(found, folder):
    """Draws the plots into the folder, and bench.md beside them."""
    (folder / 'bench.md').write_text(markdown(found, folder), encoding='utf-8')


def markdown(found, folder, images=''):
    """The whole page; ``images`` stands before the names of the plots."""
    parts = ['# Benchmarks', facts(found)]
    asked = targets.table(found['areas'])
    if asked:
        parts += ['## Targets', asked]
    for name, sections in found['areas'].items():
        parts.append(f'## {AREAS[name][0]}')
        for file in plots.draw(name, sections, folder):
            parts.append(f'![{AREAS[name][0]}]({images}{file})')
        for section in sections:
            parts += [f'### {section["title"]}', tables.markdown(section)]
    return '\n\n'.join(parts) + '\n'


def facts(found):
    """Machine, versions and command."""
    lines = [f'- {name}: {text}' for name, text in found['machine'].items()]
    lines.append(f'- command: `{found["options"]}`')
    without = [title for name, (title, _) in AREAS.items() if name not in found['areas']]
    lines += [f'- not measured: {", ".join(without)}'] if without else []
    lines += [f'- **failed**: {label} ({why})' for label, why in found['failed'].items()]
    return '\n'.join(lines)
