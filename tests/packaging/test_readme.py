"""The README's snippets: they run, and the names and commands in them exist."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
METRICS_PAGE = ROOT / 'docs' / 'keras_metrics.md'  # one script from top to bottom
PAGES = sorted(p for p in (ROOT / 'README.md', ROOT / 'docs' / 'install.md', METRICS_PAGE) if p.exists())
LINKED = sorted({*PAGES, *(ROOT / 'docs').glob('*.md')})


def blocks(language, pages=PAGES):
    """(page and line, text) of every fenced block in ``language``."""
    for page in pages:
        text = page.read_text(encoding='utf-8')
        for match in re.finditer(rf'^```{language}\n(.*?)^```$', text, re.DOTALL | re.MULTILINE):
            yield pytest.param(match[1], id=f'{page.name}-{text[: match.start()].count(chr(10)) + 1}')


PYTHON, SHELL = list(blocks('python')), list(blocks('bash'))


def test_there_are_snippets_to_look_at():
    assert PYTHON and SHELL


def test_the_table_names_every_loss():
    from shared_spec import LOSSES

    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    assert set(re.findall(r'^\| `(\w+Loss)`', readme, re.MULTILINE)) == set(LOSSES)


@pytest.mark.parametrize('text', PYTHON)
def test_python_compiles(text):
    compile(text, 'README', 'exec')


@pytest.mark.parametrize('text', [block for block in PYTHON if 'loss_decode' in block.values[0]])
def test_mmseg_snippet_builds(text):
    for host in ('torch', 'mmseg', 'mmcv'):
        pytest.importorskip(host, reason='MMSegmentation is not installed')
    from mmengine.config import Config
    from mmseg.registry import METRICS, MODELS

    import mmseg_plugin  # noqa: F401

    config = Config.fromstring(text, '.py')
    assert config.custom_imports.imports == ['mmseg_plugin']
    losses, evaluators = config.model.decode_head.loss_decode, config.val_evaluator
    for loss in losses if isinstance(losses, list) else [losses]:
        assert 'loss' in MODELS.build(loss).loss_name
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        METRICS.build(evaluator)


WHOLE_PAGE = pytest.param(
    '\n'.join(p.values[0] for p in blocks('python', [METRICS_PAGE])), id=METRICS_PAGE.name, marks=pytest.mark.slow
)
ALONE = [p for p in blocks('python', [ROOT / 'README.md']) if 'import keras' in p.values[0]]


@pytest.mark.parametrize('text', [*ALONE, WHOLE_PAGE])
def test_keras_snippet_trains_without_the_other_world(text, tmp_path):
    backend = next((name for name in ('tensorflow', 'jax', 'torch') if importlib.util.find_spec(name)), None)
    if importlib.util.find_spec('keras') is None or backend is None:
        pytest.skip('Keras or all of its backends are not installed')
    for host in ('scipy', 'pandas', 'pyarrow') if 'per_image_file' in text else ():
        pytest.importorskip(host, reason=f"{host} is not installed: pip install -e '.[evaluate]'")
    done = subprocess.run(
        [sys.executable, '-c', f'{text}\nimport sys\nprint("torch" in sys.modules)'],
        cwd=tmp_path,
        env={**os.environ, 'KERAS_BACKEND': backend, 'PYTHONPATH': str(ROOT), 'TF_CPP_MIN_LOG_LEVEL': '3'},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split()[-1] == str(backend == 'torch')


@pytest.mark.parametrize('text', SHELL)
def test_extras_and_make_targets_exist(text):
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']
    for named in re.findall(r'(?:\.|segparity)\[([\w,-]+)\]', text):
        assert set(named.split(',')) <= set(extras)
    for target in re.findall(r'^make (?:\w+=\S+ )*(\w+)', text, re.MULTILINE):
        assert re.search(rf'^{target}:', (ROOT / 'Makefile').read_text(), re.MULTILINE)


@pytest.mark.parametrize('text', [block for block in SHELL if re.search('^segparity ', block.values[0], re.MULTILINE)])
def test_commands_exist(text):
    for command in set(re.findall(r'^segparity (\w+)', text, re.MULTILINE)):
        done = subprocess.run(
            [sys.executable, '-c', f'import sys\nsys.argv = ["segparity", {command!r}, "--help"]\n'
             'from segparity.cli import main\nsys.exit(main())'],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize('text', list(blocks('python', [ROOT / 'docs' / 'metrics.md'])))
def test_the_metrics_page_runs(text):
    if 'val_evaluator' not in text:
        return exec(text, {})
    for host in ('torch', 'mmseg', 'mmcv', 'pandas'):
        pytest.importorskip(host, reason='MMSegmentation or pandas is not installed')
    from mmengine.config import Config
    from mmengine.registry import HOOKS
    from mmseg.registry import METRICS

    import mmseg_plugin  # noqa: F401

    config = Config.fromstring(text, '.py')
    assert {METRICS.build(evaluator).__class__.__name__ for evaluator in config.val_evaluator} == {
        'FineGrainedMetric', 'CalibrationMetric', 'BoundaryMetric'
    }  # fmt: skip
    assert HOOKS.build(config.default_hooks.checkpoint).rules == ['greater']


@pytest.mark.parametrize('page', LINKED, ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page):
    prose = re.sub(r'^ *```.*?^ *```$', '', page.read_text(encoding='utf-8'), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r'\]\((?!https?://|#)([^)#]+)', prose):
        assert (page.parent / target).exists(), target
