"""Every Python block of the README and of docs/ runs as it stands, in few processes: one for each group of worlds."""

import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest

from tests.packaging.page_code import ELSEWHERE, PAGES, ROOT, WORLDS, blocks, blocks_of_worlds

MMSEG = 'torch', 'mmseg', 'mmcv'
OURS = 'scipy', 'pandas', 'pyarrow', 'PIL'
SLOW = pytest.mark.slow


def execute(worlds, needs, pages=(), **environment):
    """Runs the blocks of the worlds in a process of their own; the frameworks that it loaded."""
    for module in needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f'{module} is not installed')
    quiet = dict(TF_CPP_MIN_LOG_LEVEL='3', CUDA_VISIBLE_DEVICES='', JAX_PLATFORMS='cpu', OMP_NUM_THREADS='1')
    done = subprocess.run(
        [sys.executable, '-m', 'tests.packaging.page_runner', worlds, *pages],
        cwd=ROOT,
        env={**os.environ, **quiet, 'PYTHONPATH': str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert not outcome['failed'], '\n'.join(f'{where}\n{trace}' for where, trace in outcome['failed'].items())
    return outcome['loaded']


def test_every_block_has_a_world_or_a_reason():
    for page in PAGES:
        for block in blocks(page):
            if block.language == 'python' and page.name not in ELSEWHERE:
                assert block.worlds and set(block.worlds) <= set(WORLDS), f'{block.page}, line {block.line}'
    for page, test in ELSEWHERE.items():
        assert page in (ROOT / test).read_text()
    assert set(blocks_of_worlds(WORLDS)) >= {'README.md', 'distributed.md', 'keras_traps.md', 'metrics.md'}


@pytest.mark.slow
def test_without_a_framework():
    assert execute('python', OURS) == []


@pytest.mark.slow
def test_mmsegmentation_pytorch_and_keras_on_it():
    execute('config,torch,keras', (*MMSEG, 'keras', *OURS), KERAS_BACKEND='torch')


@SLOW
def test_keras_on_tensorflow_loads_no_pytorch():
    pages = 'README.md', 'distributed.md'
    loaded = execute('keras,tensorflow', ('keras', 'tensorflow'), pages, KERAS_BACKEND='tensorflow')
    assert 'torch' not in loaded and 'mmseg' not in loaded


@pytest.mark.slow
def test_loops_of_lightning_and_monai():
    execute('lightning,monai', ('torch', 'pytorch_lightning', 'monai'))


def test_a_network_of_segmentation_models_pytorch():
    execute('smp', ('torch', 'segmentation_models_pytorch', 'torchvision'))


@SLOW
def test_keras_on_jax():
    execute('jax', ('keras', 'jax'), KERAS_BACKEND='jax')


@SLOW
@pytest.mark.parametrize('backend', ['tensorflow', 'jax'])
def test_every_keras_page_on_the_other_backends(backend):
    execute('keras', ('keras', backend, *OURS), KERAS_BACKEND=backend)


def test_every_command_parses():
    """The lines that call ``segparity``, of whatever block, have options that exist."""
    from segparity.cli import build_parser

    commands = []
    for page in PAGES:
        for block in blocks(page):
            if block.language in ('bash', 'console'):
                text = block.text.replace('\\\n', ' ')
                commands += re.findall(r'^(?:\$ )?segparity (.*)$', text, re.MULTILINE)
    assert len(commands) > 10
    for command in commands:
        words = re.sub(r'\s+#.*', '', command).split()
        assert hasattr(build_parser().parse_args(words), 'run'), command


def test_files_that_commands_name_exist():
    for page in PAGES:
        for block in blocks(page):
            for path in re.findall(r'(?:python|pytest) ((?:benchmarks|tests)/[\w./]+)', block.text):
                assert (ROOT / path).exists(), f'{block.page}, line {block.line}: {path}'
