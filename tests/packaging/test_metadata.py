"""pyproject.toml and constraints.txt: what each extra may pull, and that the pins satisfy the bounds."""

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

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
    'nifti',
    'study',
    'test',
)  # what `make install` takes


def requirements(*extras):
    return [Requirement(text) for extra in extras for text in EXTRAS[extra]] + [
        Requirement(text) for text in PROJECT['dependencies']
    ]


def pins():
    lines = (line.split('#')[0].strip() for line in (ROOT / 'constraints.txt').read_text().splitlines())
    return dict(line.split('==') for line in lines if line)


def installed(name):
    """(version, requirements) of a distribution."""
    found = importlib.metadata.distribution(name)
    return found.version, found.requires or ()


def holding(requirements, extras=()):
    """Those whose marker holds here, with these extras."""
    asked = ('', *extras)
    return [r for r in requirements if r.marker is None or any(r.marker.evaluate({'extra': e}) for e in asked)]


def required(name, extras, about):
    """What a distribution requires here, with these of its extras."""
    return holding(map(Requirement, about(name)[1]), extras)


def closure(start, about=installed):
    """Names of every distribution that these requirements lead to, by what is installed; None where one is missing."""
    found, queue = set(), holding(start)
    while queue:
        requirement = queue.pop()
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key not in found:
            found.add(key)
            try:
                queue += required(*key, about)
            except importlib.metadata.PackageNotFoundError:
                return None
    return {name for name, _ in found}


def fixed_by(name, about=installed, extras=()):
    """What a distribution requires at exactly the version that is installed, and what these fix in turn."""
    found = set()
    for requirement in required(name, extras, about):
        other = canonicalize_name(requirement.name)
        version = about(other)[0]
        exact = [s.version.removesuffix('.*') for s in requirement.specifier if s.operator == '==']
        if any(Version(wanted) == Version(version) for wanted in exact):
            found |= {other, *fixed_by(other, about, requirement.extras)}
    return found


# PyTorch's builds ask for these by a range, another one for each CUDA: a pin here would refuse all builds but one
OF_ONE_CUDA = {'cuda-bindings', 'cuda-pathfinder', 'nvidia-nvjitlink'}


def unpinned(start, about=installed):
    """What these requirements lead to that neither constraints.txt nor the PyTorch that it pins fixes."""
    reached = closure(start, about)
    return None if reached is None else reached - pins().keys() - fixed_by('torch', about) - OF_ONE_CUDA


def test_the_core_is_numpy_and_rich():
    assert {r.name for r in requirements()} == {'numpy', 'rich'}


def test_bounds_are_lower_bounds():
    """Two have upper ones: MMSegmentation 1.2 refuses mmcv 2.2, MMEngine needs the pkg_resources of old setuptools."""
    upper = {r.name for r in requirements(*EXTRAS) for s in r.specifier if s.operator != '>='}
    assert upper == {'mmcv-lite', 'setuptools'}


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
    ('study',): {'tensorflow', 'tensorflow-cpu', 'keras', 'jax', 'mmsegmentation'},
    ('audit',): {'torch', 'tensorflow', 'tensorflow-cpu', 'keras', 'jax', 'mmsegmentation'},
}


@pytest.mark.parametrize('extras', NEVER, ids='+'.join)
def test_no_extra_pulls_the_framework_of_another_world(extras):
    reached = closure(requirements(*extras))
    if reached is None:
        pytest.skip(f'{", ".join(extras)}: not all installed')
    assert not reached & NEVER[extras]


def test_every_distribution_of_the_full_environment_is_pinned():
    left = unpinned(requirements(*FULL))
    if left is None:
        pytest.skip('not the full environment')
    assert not left


# what the wheel of PyTorch 2.13.0 for CUDA requires beyond that for the CPU, and what pip took for it in November 2026
CUDA = {
    'torch': (
        '2.13.0',
        [
            'cuda-toolkit[cublas,cufft,nvtx]==13.0.3; platform_system == "Linux"',
            'cuda-bindings<14,>=13.0.3; platform_system == "Linux"',
            'nvidia-cudnn-cu13==9.20.0.48; platform_system == "Linux"',
            'triton==3.7.1; platform_system == "Linux"',
        ],
    ),
    'triton': ('3.7.1', []),
    'cuda-toolkit': (
        '13.0.3.0',
        [
            'nvidia-cublas==13.1.1.3.*; extra == "cublas"',
            'nvidia-cufft==12.0.0.61.*; extra == "cufft"',
            'nvidia-nvjitlink<14,>=13.0.88; extra == "cufft"',
            'nvidia-nvtx==13.0.85.*; extra == "nvtx"',
            'nvidia-npp==13.0.1.2.*; extra == "npp"',
        ],
    ),
    'cuda-bindings': ('13.5.0', ['cuda-pathfinder>=1.4.2']),
    'cuda-pathfinder': ('1.9.1', []),
    'nvidia-cudnn-cu13': ('9.20.0.48', ['nvidia-cublas']),
    'nvidia-cublas': ('13.1.1.3', []),
    'nvidia-cufft': ('12.0.0.61', ['nvidia-nvjitlink']),
    'nvidia-nvjitlink': ('13.5.37', []),
    'nvidia-nvtx': ('13.0.85', []),
}
LINUX = pytest.mark.skipif(sys.platform != 'linux', reason='what PyTorch requires on Linux')


@LINUX
def test_the_cuda_build_of_torch_is_pinned_too():
    assert len(closure([Requirement('torch')], CUDA.get)) == len(CUDA)
    assert fixed_by('torch', CUDA.get) == CUDA.keys() - {'torch'} - OF_ONE_CUDA
    assert unpinned([Requirement('torch')], CUDA.get) == set()


@LINUX
@pytest.mark.parametrize(
    'change, found',
    [
        ({'torch': ('2.13.0', [*CUDA['torch'][1], 'surprise>=1'])}, {'surprise'}),
        ({'torch': ('2.13.0', [*CUDA['torch'][1], 'surprise==1.*'])}, {'surprise'}),
        ({'nvidia-cudnn-cu13': ('9.21', ['nvidia-cublas'])}, {'nvidia-cudnn-cu13'}),
        (
            {'cuda-toolkit': ('13.0.4', CUDA['cuda-toolkit'][1])},
            {'cuda-toolkit', 'nvidia-cublas', 'nvidia-cufft', 'nvidia-nvtx'},
        ),
        ({'cuda-bindings': ('13.5.0', ['surprise==1.2'])}, {'surprise'}),
    ],
    ids=['a bound', 'a wide ==', 'another version', 'another version in between', 'of what is not fixed'],
)
def test_what_nothing_fixes_is_found(change, found):
    made_up = CUDA | {'surprise': ('1.2', [])} | change
    assert unpinned([Requirement('torch')], made_up.get) == found


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
