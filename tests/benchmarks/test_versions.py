"""Two versions side by side: each process has the packages of its own, and nothing is measured of an unknown commit."""

import subprocess
import sys

import pytest

from benchmarks import versions


def test_a_row_has_the_fastest_times_and_the_median_ratio_within_a_round():
    assert versions.row('Jaccard', [0.002, 0.004, 0.001], [0.003, 0.004, 0.0012]) == ['Jaccard', '1.0', '1.2', '1.20']


def test_an_unknown_commit_is_refused():
    with pytest.raises(SystemExit, match='benchmarks: git archive no-such-commit: '):
        versions.archive_commit('no-such-commit')


@pytest.mark.slow
def test_both_versions_run_in_turns():
    pytest.importorskip('mmseg', reason='needs MMSegmentation')
    if not (versions.ROOT / '.git').exists():
        pytest.skip('needs a checkout')
    command = [sys.executable, '-m', 'benchmarks.versions', 'HEAD', '--quick', '--rounds', '2', '--worlds', 'torch']
    found = subprocess.run(command, capture_output=True, text=True, cwd=versions.ROOT)
    assert found.returncode == 0, found.stderr
    rows = [line for line in found.stdout.splitlines() if line.startswith('| ')]
    assert len(rows) == 2 + len(versions.STEPS)
