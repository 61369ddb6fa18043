"""What PyTorch scripts do with their losses, and what they give them."""

import pytest

from segparity.migrate.reading import read_source

HEAD = """
import torch
import torch.nn.functional as F
from torch import nn
import segmentation_models_pytorch as smp
model = smp.Unet(classes=3)
"""
CE = 'ce = nn.CrossEntropyLoss()\n'
DICE = "dice = smp.losses.DiceLoss('multiclass')\n"
LIGHTNING = """
import lightning
class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.m = smp.Unet(classes=3)
        self.c = nn.CrossEntropyLoss()
    def training_step(self, batch, number):
        x, y = batch
        loss = {}
        return {}
    def validation_step(self, batch, number):
        x, y = batch
        return self.c(self.m(x), y)
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / 'script.py').write_text(HEAD + CE * ('ce(' in text) + DICE * ('dice(' in text) + text)
        return read_source(tmp_path / 'script.py')

    return read


def weights(source):
    return [(item.name, item.weight) for output in source.outputs for item in output.losses]


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        (LIGHTNING.format('self.c(self.m(x), y) * 2', 'loss'), [('CrossEntropyLoss', 2)]),
        (LIGHTNING.format('self.c(self.m(x), y) * 2', "{'loss': loss}"), [('CrossEntropyLoss', 2)]),
        ('(ce(model(x), y) * 3).backward()', [('CrossEntropyLoss', 3)]),
        ('scaler.scale(ce(model(x), y) * 3).backward()', [('CrossEntropyLoss', 3)]),
        ('accelerator.backward(ce(model(x), y) * 3)', [('CrossEntropyLoss', 3)]),
        ('loss = 3 * ce(model(x), y) + dice(model(x), y)', [('CrossEntropyLoss', 3), ('DiceLoss', 1)]),
        ('f = lambda a, b: 0.3 * ce(a, b) + 0.7 * dice(a, b)\nf(model(x), y).backward()', [('CrossEntropyLoss', 0.3), ('DiceLoss', 0.7)]),
        ('loss = ce(model(x), y)\nloss.backward()\ntotal = loss.item() * 8\nruns = total + loss', [('CrossEntropyLoss', 1)]),
    ],
)  # fmt: skip
def test_factors_of_a_loss(read, text, found):
    source = read(text)
    assert weights(source) == found
    assert not source.unread


@pytest.mark.parametrize(
    'text',
    [
        'loss = ce(model(x), y) ** 2\nloss.backward()',
        'torch.sqrt(ce(model(x), y)).backward()',
        'loss = ce(model(x), y).pow(2)\nloss.backward()',
        '(1 / ce(model(x), y)).backward()',
        '(ce(model(x), y) * dice(model(x), y)).backward()',
        '(ce(model(x), y) + torch.exp(dice(model(x), y))).backward()',
        'loss = ce(model(x), y) ** 2',
        LIGHTNING.format('torch.log(self.c(self.m(x), y))', 'loss'),
    ],
)
def test_what_is_done_with_a_loss_beside_adding_is_named(read, text):
    assert any('beside adding and scaling' in unread.reason and unread.place.line for unread in read(text).unread)


def test_a_division_is_mostly_that_of_accumulated_gradients(read):
    source = read('(ce(model(x), y) / 4).backward()')
    assert weights(source) == [('CrossEntropyLoss', 0.25)]
    assert any('accumulated gradients' in remark for remark in source.remarks)
