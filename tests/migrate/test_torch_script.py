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


NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 3, 1)
        self.end = nn.Softmax(dim=1)
    def forward(self, x):
        x = self.body(x)
        return self.end(x)
net = Net().cuda()
"""


@pytest.mark.parametrize(
    'text',
    [
        'p = torch.softmax(model(x), 1)\nce(p, y).backward()',
        'p = model(x).sigmoid()\nnn.BCEWithLogitsLoss()(p, y).backward()',
        'p = F.log_softmax(model(x), 1)\ndice(p, y).backward()',
        'p = nn.Softmax(dim=1)(model(x))\nF.cross_entropy(p, y).backward()',
        "net = smp.Unet(classes=3, activation='softmax2d')\nce(net(x), y).backward()",
        "net = smp.Unet(classes=3, activation='sigmoid')\nF.binary_cross_entropy_with_logits(input=net(x), target=y).backward()",
        'net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sigmoid())\nnn.BCEWithLogitsLoss()(net(x), y).backward()',
        NET + 'ce(net(x), y).backward()',
    ],
)  # fmt: skip
def test_a_second_activation_is_named(read, text):
    assert any('a second activation' in unread.reason and unread.place.line for unread in read(text).unread)


@pytest.mark.parametrize(
    'text',
    [
        'ce(model(x), y).backward()\nshown = torch.softmax(model(x), 1)',
        'nn.BCELoss()(model(x).sigmoid(), y).backward()',
        'nn.NLLLoss()(F.log_softmax(model(x), 1), y).backward()',
        'ce(F.log_softmax(model(x), 1), y).backward()',  # which is the same, as log_softmax of its result is
        'net = nn.Sequential(nn.Conv2d(3, 3, 1))\nce(net(x), y).backward()',
    ],
)
def test_one_activation_is_not(read, text):
    assert not read(text).unread


def test_the_object_of_a_method_has_any_name(tmp_path):
    (tmp_path / 'a.py').write_text(
        'import torch.nn as nn\nimport pytorch_lightning as pl\n'
        'class M(pl.LightningModule):\n'
        '    def __init__(s):\n        super().__init__(); s.c = nn.CrossEntropyLoss()\n'
        '    def training_step(s, batch, i):\n        return s.c(s.m(batch[0]), batch[1]) * 2\n'
    )
    (output,) = read_source(tmp_path / 'a.py').outputs
    assert [item.weight for item in output.losses] == [2.0]


def test_a_loss_whose_gradient_is_not_found_is_named(tmp_path):
    (tmp_path / 'a.py').write_text(
        'import torch.nn as nn\nimport engine\nloss = nn.CrossEntropyLoss()\n'
        'total = engine.total(net, loss, factor=3)\ntotal.backward()\n'
    )
    source = read_source(tmp_path / 'a.py')
    assert any('its factor is not known' in unread.reason and unread.place.line == 3 for unread in source.unread)
