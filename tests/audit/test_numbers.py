"""The numbers of the page: by hand, and the same as the spec's reference gives."""

import json

import numpy as np
import pytest

from segparity.audit.bootstrap import drawn_weights, interval, lowest, resampled
from segparity.audit.comparison import compare, verdict
from segparity.audit.figures import binned_medians
from segparity.audit.scores import class_scores, median_sizes, summary
from segparity.audit.several import load_tables
from segparity.audit.tables import load_table
from shared_spec import METRICS
from tests.audit.streets import CLASSES, IGNORE, prediction, street

A, B, NONE = [8, 1, 1], [1, 2, 1], [0, 0, 0]  # IoU 8/10, 1/4


def test_scores_of_a_class_by_hand(table):
    found = class_scores(load_table(table([[A, B, A], [B, NONE, NONE]]), 'm'), 50)
    assert found['D'][0] == 9 / 14
    assert found['C'][0] == pytest.approx((8 / 10 + 1 / 4) / 2)
    assert found['Cq'][0] == 1 / 4  # the lower half of two
    assert found['I'][0] == pytest.approx((8 / 10 / 3 + 1 / 4) / (1 / 3 + 1))
    assert found['images'].tolist() == [2, 1, 1]
    assert found['share'] == pytest.approx(np.array([11, 2, 9]) / 22)


def test_the_classes_parts_make_the_mean_over_images(table):
    loaded = load_table(table([[A, B, A], [B, NONE, NONE], [NONE, B, A]]), 'm')
    found, parts = class_scores(loaded, 5)['I'], (loaded.present / loaded.present.sum(1, keepdims=True)).mean(0)
    assert (found * parts).sum() == pytest.approx(summary(loaded, 5)['mIoUI'])


def test_the_summary_is_the_references(streets):
    pictures = [street(number, 96) for number in range(20)]
    spec = METRICS['FineGrained'](num_classes=len(CLASSES), ignore_index=IGNORE, metrics=('mIoU', 'mDice'), q=(5,))
    preds = [prediction('coarse', there, number) for number, (_, there, _) in enumerate(pictures)]
    wanted = spec.reference(preds, [labelled for *_, labelled in pictures])
    found = summary(load_table(streets / 'coarse.csv', 'm'), 5)
    assert list(found) == ['aAcc', 'FWIoU', 'mIoUD', 'mIoUI', 'mIoUC', 'mIoUI5', 'mIoUC5', 'mDiceD']
    assert found == pytest.approx({name: wanted[name] for name in found}, abs=1e-12)


def test_sizes_by_hand(table):
    loaded = load_table(table([[A, B], [[20, 0, 0], NONE], [[5, 0, 0], NONE]]), 'm')
    assert median_sizes(loaded).tolist() == [9, 2]


def test_binned_medians_by_hand():
    x, y = binned_medians(np.arange(10), np.arange(10) / 10, bins=2)
    assert x.tolist() == [2, 7] and y.tolist() == [0.2, 0.7]
    assert [part.tolist() for part in binned_medians(np.array([1, 2]), np.array([0, 1]))] == [[], []]
    assert len(binned_medians(np.full(100, 7), np.ones(100))[0]) == 1


class TestBootstrap:
    def test_every_image_once_is_the_data_set(self, streets):
        loaded = load_table(streets / 'hesitant.csv', 'm')
        totals, imagewise, pixelwise = resampled(loaded, np.ones((1, 20)), 5)
        assert {name: value[0] for name, value in totals.items()} == pytest.approx(summary(loaded, 5))
        scores = class_scores(loaded, 5)
        np.testing.assert_allclose(imagewise[0], scores['C'])
        np.testing.assert_allclose(pixelwise[0], scores['D'])

    def test_a_draw_is_a_data_set_of_its_images(self, streets):
        loaded = load_table(streets / 'coarse.csv', 'm')
        weights = np.zeros((1, 20))
        weights[0, [2, 5, 9]] = 1
        totals, *_ = resampled(loaded, weights, 50)
        part = loaded.take([loaded.images[i] for i in (2, 5, 9)])
        assert {name: value[0] for name, value in totals.items()} == pytest.approx(summary(part, 50))

    @pytest.mark.parametrize('q', [1, 5, 50, 100])
    def test_the_lowest_of_repeated_values(self, q):
        rng = np.random.default_rng(0)
        values = rng.random(300)
        values[::7] = np.nan
        weights = drawn_weights(300, draws=8, seed=1)
        for row, found in zip(weights, lowest(values, weights, q)):
            drawn = np.sort(np.repeat(values, row.astype(int)))
            drawn = drawn[~np.isnan(drawn)]
            assert found == pytest.approx(drawn[: max(1, q * len(drawn) // 100)].mean())

    def test_a_rare_class_may_be_missing_from_a_draw(self):
        found = lowest(np.array([0.5, np.nan]), np.array([[1.0, 1], [0, 2]]), 5)
        np.testing.assert_array_equal(found, [0.5, np.nan])
        assert np.isnan(interval(np.array([np.nan, np.nan]))).all()

    def test_equal_models_differ_by_nothing(self, streets):
        path = streets / 'coarse.csv'
        (entry,) = compare(load_tables([path, path], ['a', 'b']), 5, top=5)
        assert set(entry['scores'].values()) == {(0.0, 0.0, 0.0)} and entry['images'] == []

    def test_a_clear_difference_is_clear(self, streets):
        tables = load_tables([streets / 'coarse.csv', streets / 'nightblind.csv'])
        (entry,) = compare(tables, 5, top=3)
        sign = CLASSES.index('sign')
        difference, low, high = entry['classes']['C'][sign]
        assert difference == pytest.approx(np.nanmean(tables[1].iou[:, sign]) - np.nanmean(tables[0].iou[:, sign]))
        assert 0 < low < difference < high and verdict(difference, low, high) == 'better'
        assert verdict(-0.1, -0.2, -0.05) == 'worse' and verdict(0.1, -0.1, 0.3) == 'open'
        apart = [abs(b - a) for _, a, b in entry['images']]
        assert len(apart) == 3 and apart == sorted(apart, reverse=True)


@pytest.mark.usefixtures('no_figures')
def test_json_has_the_numbers_and_no_nan(streets, audit, tmp_path):
    code, *_ = audit(streets / 'coarse.csv', streets / 'hesitant.csv', '--json', 'numbers.json', '--top', 3)
    assert code == 0
    found = json.loads((tmp_path / 'numbers.json').read_text(), parse_constant=pytest.fail)
    loaded = load_table(streets / 'coarse.csv', 'coarse')
    assert found['models']['coarse']['summary'] == pytest.approx(summary(loaded, 5))
    assert found['models']['coarse']['per_class']['sign']['C'] == class_scores(loaded, 5)['C'][CLASSES.index('sign')]
    assert found['comparisons'][0]['minus'] == 'coarse' and found['bootstrap']['draws'] == 1000
    assert len(found['comparisons'][0]['images']) == 3 and found['failures']['labels'][0]['class'] == 'car'
