"""The made-up streets and small tables by hand."""

import numpy as np
import pytest

for module in ('pandas', 'pyarrow', 'PIL', 'matplotlib', 'jinja2'):
    pytest.importorskip(module, reason="needs pip install 'segparity[audit]'")

from segparity.cli import main
from shared_spec.metrics.fine_grained import FineGrained, FineGrainedState
from shared_spec.metrics.per_image import per_image_columns, write_table
from tests.audit.streets import write_streets


@pytest.fixture(scope='session')
def streets(tmp_path_factory):
    """A folder of 20 streets with pictures and the tables of three models."""
    folder = tmp_path_factory.mktemp('streets')
    write_streets(folder, images=20, height=96)
    return folder


@pytest.fixture
def table(tmp_path):
    """Writes a per-image table from counts (images, classes, 3) and gives its path."""

    def write(counts, name='model.csv', images=None, classes=None, files=None, **rule):
        counts = np.array(counts)
        spec = FineGrained(num_classes=counts.shape[1], ignore_index=None, metrics=('mAcc', 'mIoU', 'mDice'), **rule)
        state = FineGrainedState(counts.shape[1], None)
        images = images or [f'image {i}' for i in range(len(counts))]
        for image, row in zip(images, counts):
            state.add(row, image)
        named = {'image': images, **(files or {})}
        classes = classes or [f'class {c}' for c in range(counts.shape[1])]
        write_table(tmp_path / name, per_image_columns(named, classes, state.cells(spec)))
        return tmp_path / name

    return write


@pytest.fixture
def audit(capsys, monkeypatch, tmp_path):
    """Runs ``segparity audit`` in a folder of its own: (exit code, standard output, standard error)."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        code = main(['audit', *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, ' '.join(out.split()), err

    return run


@pytest.fixture
def no_figures(monkeypatch):
    """Leaves out the figures, which take most of the time, where a test is about something else."""
    from segparity.audit import report
    from segparity.audit.figure import Drawn

    nothing = {'spread': [], 'classes': [], 'size': Drawn('x', '', '', b''), 'sizes': [], 'differences': []}
    monkeypatch.setattr(report, 'draw_figures', lambda *arguments, **options: nothing)
