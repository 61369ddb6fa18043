"""Wrong labels that were planted are found first; what one model alone gets wrong is its weakness."""

import numpy as np
import pytest

from segparity.audit.album import worst_cells
from segparity.audit.failures import find_failures, lowest_tenth
from segparity.audit.several import load_tables
from tests.audit.streets import ERASED, MODELS, PHANTOM, SWAPPED

GOOD, BAD = [90, 5, 10], [0, 2, 100]


def of_streets(streets, *models, **options):
    return find_failures(load_tables([streets / f'{model}.csv' for model in models]), **options)


def named(cells):
    return [(cell.image, cell.class_id, cell.instead) for cell in cells]


def test_planted_label_errors_are_found_first(streets):
    found = of_streets(streets, *MODELS)
    assert named(found.labels)[0] == (f'street_{PHANTOM:03d}', 4, 'road')
    wanted = {(f'street_{number:03d}', 4, instead) for number, instead in ((ERASED, 'road'), (SWAPPED, 'building'))}
    assert wanted < set(named(found.unlabelled)[:3])


def test_one_model_suffices_to_suspect(streets):
    found = of_streets(streets, 'coarse')
    assert found.labels[0].image == f'street_{PHANTOM:03d}' and f'street_{ERASED:03d}' in [
        cell.image for cell in found.unlabelled[:2]
    ]
    assert found.hard == [] and found.images == [] and found.alone == {}


def test_small_objects_are_hard_and_no_label_error(table):
    counts = np.tile(GOOD, (10, 1, 1))
    counts[0], counts[1] = [0, 2, 9], [0, 2, 101]
    found = find_failures(load_tables([table(counts, name=f'{k}.csv') for k in range(2)]))
    assert [(cell.image, cell.size, cell.usual) for cell in found.hard] == [('image 0', 9, 100)]
    assert [(cell.image, cell.size, cell.usual) for cell in found.labels] == [('image 1', 101, 100)]


def test_a_low_score_from_false_alarms_alone_is_no_missed_object(table):
    counts = np.tile(GOOD, (10, 1, 1))
    counts[0] = [100, 2000, 0]
    found = find_failures(load_tables([table(counts, name=f'{k}.csv') for k in range(2)]))
    assert found.labels == [] and [(cell.image, cell.size) for cell in found.unlabelled] == [('image 0', 2000)]


def test_a_night_is_one_models_weakness(streets):
    found = of_streets(streets, *MODELS)
    alone = {int(cell.image[-3:]) % 5 for cell in found.alone['nightblind'] if cell.class_id == 4}
    assert alone == {4}
    for k, model in enumerate(MODELS):
        for cell in found.alone[model]:
            others = [score for i, score in enumerate(cell.scores) if i != k]
            assert cell.scores[k] <= 0.5 < min(others)


@pytest.fixture
def three(table):
    """Ten images of one class; the third model finds what the others miss in image 1, nobody finds image 0."""
    counts = np.tile(GOOD, (3, 10, 1, 1))
    counts[:, 0] = BAD
    counts[:2, 1] = BAD
    return load_tables([table(counts[k], name=f'{k}.csv') for k in range(3)])


def test_all_or_some_must_agree(three):
    assert [cell.image for cell in find_failures(three).labels] == ['image 0']
    assert [cell.image for cell in find_failures(three, agree=2).labels] == ['image 0', 'image 1']
    with pytest.raises(ValueError, match='from 1 to 3 models can fail together, got 4'):
        find_failures(three, agree=4)


def test_the_best_models_score_ranks(three):
    assert [cell.scores for cell in find_failures(three, agree=2).labels] == [(0, 0, 0), (0, 0, 90 / 105)]


def test_top_cuts_the_lists(three):
    assert len(find_failures(three, agree=2, top=1).labels) == 1


def test_a_class_that_is_found_everywhere_has_no_failure(table):
    found = find_failures(load_tables([table(np.tile(GOOD, (10, 1, 1)), name=f'{k}.csv') for k in range(2)]))
    assert found.labels == found.hard == found.unlabelled == []


def test_images_among_everyones_worst_tenth(three):
    assert [image for image, _ in find_failures(three).images] == ['image 0']


def test_the_lowest_tenth_by_hand():
    values = np.array([[0.3, np.nan], [0.1, 0.5], [0.2, np.nan]])
    assert lowest_tenth(values).tolist() == [[False, False], [True, True], [False, False]]
    assert lowest_tenth(np.arange(30.0)).nonzero()[0].tolist() == [0, 1, 2]


def test_the_lowest_comes_first_and_of_equals_the_largest(table):
    counts = np.tile(GOOD, (20, 1, 1))
    counts[0], counts[1], counts[2] = [50, 0, 950], [0, 2, 200], [0, 2, 300]
    tables = load_tables([table(counts)])
    assert [cell.image for cell in find_failures(tables).labels] == ['image 2', 'image 1', 'image 0']
    assert worst_cells(tables[0], 4) == {0: [2, 1, 0, 3]}


def test_a_perfect_image_is_none_of_the_worst(table):
    (loaded,) = load_tables([table([[[5, 0, 0], [5, 0, 1]], [[5, 1, 0], [5, 0, 0]], [[5, 0, 0], [0, 0, 0]]])])
    assert worst_cells(loaded, 4) == {0: [1], 1: [0]}
