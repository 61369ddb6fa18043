"""pyproject.toml and constraints.txt: what each extra may pull, and that the pins satisfy the bounds."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
EXTRAS = PROJECT['optional-dependencies']
FULL = (
    'mmseg',
    'mmcv-lite',
    'keras',
    'tensorflow-cpu',
    'jax',
    'demo',
    'evaluate',
    'dask',
    'audit',
    'test',
)  # what `make install` takes


def requirements(*extras):
    return [Requirement(text) for extra in extras for text in EXTRAS[extra]] + [
        Requirement(text) for text in PROJECT['dependencies']
    ]


def pins():
    lines = (line.split('#')[0].strip() for line in (ROOT / 'constraints.txt').read_text().splitlines())
    return dict(line.split('==') for line in lines if line)


def closure(*extras):
    """Names of every distribution that these extras lead to, by what is installed; None where one is missing."""
    found, queue = set(), requirements(*extras)
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({'extra': ''})):
            continue
        found.add(name)
        try:
            queue += map(Requirement, importlib.metadata.requires(name) or ())
        except importlib.metadata.PackageNotFoundError:
            return None
    return found


def test_the_core_is_numpy_and_rich():
    assert {r.name for r in requirements()} == {'numpy', 'rich'}


def test_bounds_are_lower_bounds():
    """Only mmcv-lite has an upper one: MMSegmentation 1.2 refuses mmcv 2.2."""
    upper = {r.name for r in requirements(*EXTRAS) for s in r.specifier if s.operator != '>='}
    assert upper == {'mmcv-lite'}


@pytest.mark.parametrize('extra', EXTRAS)
def test_the_pins_satisfy_the_bounds(extra):
    for requirement in requirements(extra):
        assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


NEVER = {
    ('keras',): {'torch', 'tensorflow', 'tensorflow-cpu', 'jax', 'mmsegmentation'},
    ('keras', 'tensorflow-cpu'): {'torch', 'mmsegmentation'},
    ('keras', 'jax'): {'torch', 'mmsegmentation'},
    ('mmseg', 'mmcv-lite'): {'tensorflow', 'tensorflow-cpu', 'keras', 'jax'},
    ('demo',): {'torch', 'tensorflow', 'tensorflow-cpu', 'keras', 'jax'},
    ('evaluate', 'dask'): {'torch', 'tensorflow', 'tensorflow-cpu', 'keras', 'jax'},
    ('audit',): {'torch', 'tensorflow', 'tensorflow-cpu', 'keras', 'jax', 'mmsegmentation'},
}


@pytest.mark.parametrize('extras', NEVER, ids='+'.join)
def test_no_extra_pulls_the_framework_of_another_world(extras):
    reached = closure(*extras)
    if reached is None:
        pytest.skip(f'{", ".join(extras)}: not all installed')
    assert not reached & NEVER[extras]


def test_every_distribution_of_the_full_environment_is_pinned():
    reached = closure(*FULL)
    if reached is None:
        pytest.skip('not the full environment')
    assert reached <= pins().keys()


def test_a_pin_is_exact_and_has_no_local_version():
    """``torch==2.13.0+cpu`` could not be had by anyone with a GPU."""
    for name, version in pins().items():
        assert re.fullmatch(r'[\d.]+([a-z]+\d+)?', version), f'{name}=={version}'
        assert name == canonicalize_name(name)


def test_the_classifiers_are_the_supported_pythons():
    listed = [c.rsplit(' ', 1)[1] for c in PROJECT['classifiers'] if re.search(r':: 3\.\d+$', c)]
    assert listed == ['3.11', '3.12', '3.13']
    assert PROJECT['requires-python'] == '>=3.11,<3.14'


def test_the_console_script_exists():
    module, function = PROJECT['scripts']['segparity'].split(':')
    assert callable(getattr(importlib.import_module(module), function))
