"""How the benchmarks measure: rounds, medians, ratios, slopes, and the memory of a known step."""

import sys

import numpy as np
import pytest

from benchmarks import memory, results, tables, targets, timing

MIB = 2**20


class Clock:
    """perf_counter that the calls advance."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(timing.time, 'perf_counter', lambda: self.now)

    def takes(self, seconds, log, name):
        def call():
            self.now += seconds
            log.append(name)

        return call


def test_contenders_take_turns_and_each_begins_once(monkeypatch):
    clock, log = Clock(monkeypatch), []
    calls = {name: clock.takes(t, log, name) for name, t in (('a', 0.25), ('b', 0.5), ('c', 1.0))}
    found = timing.time_in_turns(calls, 3, patience=1000)
    assert found == {'a': [0.25] * 3, 'b': [0.5] * 3, 'c': [1.0] * 3}
    assert ''.join(log) == 'aabbcc' + 'abc' + 'bca' + 'cab'  # the first are the warm-up


def test_a_short_call_is_repeated_within_a_round(monkeypatch):
    clock, log = Clock(monkeypatch), []
    found = timing.time_in_turns({'short': clock.takes(timing.SHORT / 8, log, 'x')}, 2)
    assert found['short'] == pytest.approx([timing.SHORT / 8] * 2)
    assert len(log) == 2 + 2 * 8


def test_a_slow_contender_stops_after_three_rounds_and_a_very_slow_one_after_one(monkeypatch):
    clock, log = Clock(monkeypatch), []
    calls = {
        'very': clock.takes(32.0, log, 'v'),
        'slow': clock.takes(8.0, log, 's'),
        'fast': clock.takes(1.0, log, 'f'),
    }
    found = timing.time_in_turns(calls, 6, patience=20.0)
    assert found == {'very': [32.0], 'slow': [8.0] * 3, 'fast': [1.0] * 6}


def test_median_and_ratio_within_rounds():
    assert timing.milliseconds([0.004, 0.001, 0.9]) == pytest.approx(4.0)
    busy = 3.0  # a round in which the machine was slow, for both
    assert timing.ratio([2.0, 2.0 * busy, 9.0], [1.0, 1.0 * busy, 1.0]) == 2.0
    assert timing.ratio([4.0, 6.0, 9.0], [2.0, 2.0]) == 2.5  # the rounds that both ran


def allocates(mib, before=0):
    """A step that holds so many MiB, freed again before it returns; its inputs hold ``before``."""
    inputs = np.ones(before * MIB, 'uint8')
    return lambda: np.ones(mib * MIB, 'uint8').sum() + inputs[:1].sum()


@pytest.mark.skipif(sys.platform != 'linux', reason='the peak of a process is read from /proc')
@pytest.mark.parametrize('before', [0, 96], ids=['nothing_before', 'more_before'])
def test_the_memory_of_a_known_step(before):
    peak = memory.peak_bytes(allocates, 64, before, fork=False)
    assert abs(peak / MIB - 64) < 2  # the kernel counts pages in batches


@pytest.mark.parametrize('power', [0.5, 1.0, 2.0])
def test_the_slope_is_the_power(power):
    points = [1, 10, 100, 1000]
    columns = [[9.9], *([1e-3 * p**power] * 3 for p in points[1:])]  # the smallest is not fitted
    assert tables.slope(points, columns) == pytest.approx(power)
    assert tables.slope(points, [None, None, None, [1.0]]) is None


@pytest.mark.parametrize(
    'measured, at_least, want',
    [
        (1.0, False, 'met'),
        (1.5, False, '**missed** by a factor of 1.50'),
        (3.0, True, 'met'),
        (0.5, True, '**missed** by a factor of 2.00'),
    ],
)
def test_the_verdict_of_a_target(measured, at_least, want):
    target = targets.Target('x', 'y', 'z', None, 1.0, at_least)
    assert targets.verdict(target, measured) == want


def test_a_point_of_an_axis_is_a_case():
    seconds = {'LovaszSoftmaxLoss': [[1.0], [3.0]], 'LovaszSoftmaxLoss, alone': [[1.0], [1.0]]}
    section = results.scaling(targets.PROCESSES, 'processes', [1, 2], seconds | {'other': [None, None]})
    assert targets.points(section)['1']['seconds'] == {'LovaszSoftmaxLoss': [1.0], 'LovaszSoftmaxLoss, alone': [1.0]}
    (row,) = (row for row in targets.table({'x': [section]}).splitlines() if 'processes, 2' in row)
    assert row.endswith('| at most 1.50 | 3.00 | **missed** by a factor of 2.00 |')


def test_a_target_takes_the_fastest_of_the_others():
    case = dict(seconds={'ours': [2.0], 'slow': [8.0], 'fast': [1.0]})
    assert targets.times_of('slow', 'fast', 'missing', ours='ours')(case) == 2.0
    assert targets.faster_than('slow', 'fast', ours='ours')(case) == 0.5
    assert targets.times_of('missing', ours='ours')(case) is None
