"""Panels: which slice and which part is shown, and what is said of the mistakes."""

import numpy as np
import pytest
from PIL import Image

from segparity.audit import drawing
from segparity.audit.colours import built_in
from segparity.audit.panels import Painter, confusions
from segparity.audit.picture_files import PictureFiles
from segparity.audit.tables import load_table
from shared_spec.metrics.fine_grained.state import image_counts

CLASSES = ['road', 'car', 'sign']


@pytest.fixture
def painter(table, tmp_path):
    """A painter of one image, from its label map and prediction, which are written to files."""

    def make(truth, pred, counted=None, **options):
        for name, ids in (('truth', truth), ('pred', pred)):
            np.save(tmp_path / f'{name}.npy', ids)
        Image.fromarray(np.full((50, 100, 3), 200, np.uint8)).save(tmp_path / 'photo.png')
        files = {'image_file': ['photo.png'], 'target_file': ['truth.npy'], 'pred_file': ['pred.npy']}
        counts = image_counts(pred, truth, 3, 255) if counted is None else counted
        loaded = load_table(table([counts], images=['x'], classes=CLASSES, files=files), 'm')
        return Painter([loaded], PictureFiles([loaded]), built_in(3), ignore_index=255, **options)

    return make


def test_a_panel_has_four_pictures_and_the_whole_input(painter):
    truth = np.zeros((200, 400), np.uint8)
    truth[100:110, 300:310] = 2
    made = painter(truth, np.zeros_like(truth), size=100)
    panel = made.panel(['m'], 'x', 2)
    assert [caption for caption, _ in panel.cells] == ['input', 'truth', 'prediction', 'error map']
    assert {(picture.width, picture.height) for _, picture in panel.cells} == {(100, round(100 * 33 / 67))}
    assert panel.overview.width == 50 and panel.notes == ['missed pixels were taken for road (100 %)']
    assert [name for name, _ in panel.legend] == ['sign', 'road']
    assert panel.bytes > sum(len(picture.uri) for _, picture in panel.cells)
    assert not (made.missing or made.unreadable or made.strange)


def test_of_a_volume_the_slice_with_the_most_mistakes(painter):
    truth = np.zeros((5, 20, 40), np.uint8)
    truth[1, :4, :4] = truth[3, :8, :8] = 1
    panel = painter(truth, np.zeros_like(truth)).panel(['m'], 'x', 1)
    assert panel.notes[0] == 'slice 3 of 0 to 4'


def test_counts_that_differ_from_the_table_are_noticed(painter):
    truth = np.zeros((20, 40), np.uint8)
    truth[:5] = 1
    made = painter(truth, np.zeros_like(truth), counted=[[600, 100, 0], [0, 0, 100], [0, 0, 0]])
    assert made.panel(['m'], 'x', 1) is not None and list(made.strange) == [('m', 'x')]


def test_zero_is_reduced_in_both_maps(painter):
    truth, pred = np.ones((20, 40), np.uint8), np.ones((20, 40), np.uint8)
    truth[:2] = 0
    made = painter(truth, pred, counted=[[720, 0, 0], [0, 0, 0], [0, 0, 0]], reduce_zero=(True, True))
    assert made.panel(['m'], 'x', 0) is not None and not made.strange


def test_mistakes_in_words_by_hand():
    truth = np.array([[1] * 10 + [2] * 4 + [0] * 6])
    pred = np.array([[1] * 5 + [0] * 4 + [2] + [1] * 3 + [2] + [1] + [0] * 5])
    kinds = drawing.error_kinds(pred, truth, 1)
    assert confusions(kinds, pred, truth, CLASSES) == [
        'missed pixels were taken for road (80 %), sign (20 %)',
        'false alarms are labelled sign (75 %), road (25 %)',
    ]


def test_a_ragged_edge_is_not_put_in_words():
    truth, pred = np.array([[1] * 20 + [0]]), np.array([[0] + [1] * 20])
    assert confusions(drawing.error_kinds(pred, truth, 1), pred, truth, CLASSES) == []
