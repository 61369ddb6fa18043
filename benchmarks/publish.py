"""Puts what ``make bench`` measured into the documentation: ``python -m benchmarks.publish [bench_out]``.

The tables replace what stands between the markers of docs/benchmarks.md, the plots go to docs/images.
"""

import argparse
import json
import pathlib

from benchmarks import bench_page

ROOT = pathlib.Path(__file__).resolve().parents[1]
BEGIN, END = '<!-- measured: python -m benchmarks.publish writes from here -->', '<!-- to here -->'


def publish(folder, docs):
    """Rewrites the generated part of ``docs``/benchmarks.md from ``folder``/bench.json; ValueError without markers."""
    raw = folder / 'bench.json'
    if not raw.exists():
        raise ValueError(f'publish: {raw} is missing, which python -m benchmarks writes')
    file = docs / 'benchmarks.md'
    text = file.read_text(encoding='utf-8')
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise ValueError(f'publish: {file} must have the lines {BEGIN!r} and {END!r} once, in this order')
    images = docs / 'images'
    images.mkdir(exist_ok=True)
    for old in images.glob('*.png'):
        old.unlink()
    body = bench_page.markdown(json.loads(raw.read_text()), images, 'images/').split('\n', 2)[2]
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    file.write_text(f'{before}{BEGIN}\n\n{body.strip()}\n\n{after}', encoding='utf-8')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('folder', nargs='?', type=pathlib.Path, default=pathlib.Path('bench_out'))
    try:
        publish(parser.parse_args().folder, ROOT / 'docs')
    except ValueError as error:
        raise SystemExit(str(error)) from None
