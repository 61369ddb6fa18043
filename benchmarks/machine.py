"""What was measured on: the machine, the versions, the commit."""

import datetime
import os
import pathlib
import platform
import re
import subprocess
from importlib import metadata

PACKAGES = (
    'numpy', 'torch', 'mmengine', 'mmsegmentation', 'mmcv-lite', 'keras', 'tensorflow', 'tensorflow-cpu', 'jax',
    'triton', 'monai', 'segmentation-models-pytorch', 'torchmetrics', 'matplotlib',
)  # fmt: skip


def description(threads, cores):
    """Name -> text, for people."""
    load = ', '.join(f'{x:.1f}' for x in os.getloadavg()) if hasattr(os, 'getloadavg') else 'unknown'
    return {
        'date': datetime.datetime.now(datetime.UTC).strftime('%Y-%m-%d %H:%M UTC'),
        'commit': commit(),
        'processor': processor(),
        'cores': f'{os.cpu_count()} in the machine, {cores} at hand, {threads} used',
        'memory': memory(),
        'load before the start': load,
        'OMP_WAIT_POLICY': os.environ.get('OMP_WAIT_POLICY', 'not set'),
        'system': f'{platform.system()} {platform.machine()}',
        'Python': platform.python_version(),
        'packages': ', '.join(f'{name} {version}' for name, version in versions().items()),
        'not installed': ', '.join(name for name in PACKAGES if name not in versions()) or 'nothing',
    }


def versions():
    """The packages that are there."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor():
    file = pathlib.Path('/proc/cpuinfo')
    found = file.exists() and re.search(r'^model name\s*:\s*(.+)$', file.read_text(), re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def memory():
    try:
        size = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    except (AttributeError, ValueError):
        return 'unknown'
    return f'{size / 2**30:.0f} GiB'


def commit():
    """The checkout's, and whether files differ from it."""
    root = pathlib.Path(__file__).resolve().parents[1]
    answers = []
    for command in (['rev-parse', '--short', 'HEAD'], ['status', '--porcelain', '--untracked-files=no']):
        try:
            done = subprocess.run(['git', *command], cwd=root, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return 'unknown'
        answers.append(done.stdout.strip())
    return answers[0] + (' with changes' if answers[1] else '')
