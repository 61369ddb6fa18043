"""Which reader a source gets: by its content and its suffix."""

import json
import os

import pytest

from segparity.migrate.reading import read_source

MMSEG = 'MMSegmentation config'


@pytest.mark.parametrize(
    ('name', 'text', 'kind'),
    [
        ('a.py', '_base_ = []\nmodel = dict(decode_head=dict(num_classes=2))', MMSEG),
        ('a.py', 'model = dict(decode_head=dict(num_classes=2))', MMSEG),
        ('a.py', "evaluation = dict(interval=100, metric='mIoU')", MMSEG),
        ('a.py', 'model = {"decode_head": {}}', MMSEG),
        ('a.py', 'from torch.optim import AdamW\n_base_ = []\noptim_wrapper = dict(type=AdamW)', MMSEG),
        ('a.py', "import keras\nmodel = dict(a=keras.Sequential())\nmodel['a'].compile(loss='mse')", 'Keras script'),
        ('a.py', "model = build()\nmodel.compile('adam', 'mse')", 'Keras script'),
        ('a.py', 'import torch\nmodel = dict(unet=torch.nn.Conv2d(1, 1, 1))\nx = torch.nn.BCELoss()', 'PyTorch script'),
        ('a.py', '', 'Keras script'),
        ('a.json', '{"model": {"decode_head": {"num_classes": 2}}}', MMSEG),
        ('a.json', '{"loss": "mse", "metrics": null}', 'compile config'),
        ('a.json', '{"class_name": "Sequential", "config": {"layers": []}}', 'Keras model'),
        ('a.json', '{"cells": [], "nbformat": 4}', 'Keras notebook'),
        ('a.yaml', 'model:\n  decode_head: {num_classes: 2}\n', MMSEG),
        ('A.IPYNB', '{"cells": [], "nbformat": 4}', 'Keras notebook'),
    ],
)  # fmt: skip
def test_kinds(tmp_path, name, text, kind):
    if name.endswith('yaml'):
        pytest.importorskip('yaml')
    (tmp_path / name).write_text(text)
    assert read_source(tmp_path / name).kind == kind
    assert read_source(str(tmp_path / name)).kind == kind


def test_a_byte_order_mark_hides_no_configuration(tmp_path):
    (tmp_path / 'a.py').write_bytes(b'\xef\xbb\xbfmodel = dict(decode_head=dict(num_classes=2))')
    assert read_source(tmp_path / 'a.py').kind == MMSEG


@pytest.mark.parametrize(
    ('name', 'data', 'said'),
    [
        ('a.pth', b'PK\x03\x04 and so on', 'is no .keras file or damaged'),
        ('a.bin', b'\0\1\2', 'is no source that is read'),
        ('a', b'x = 1', 'is no source that is read'),
        ('a.json', b'{', 'a.json is no JSON'),
        ('a.py', b'\xff\xfe\0', 'is no text in utf-8'),
        ('a.py', b'x = (', 'is no Python 3 that can be read'),
        ('a.keras', b'', 'is no .keras file or damaged'),
    ],
)
def test_what_is_no_source(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError) as error:
        read_source(tmp_path / name)
    assert said in str(error.value) and '\n' not in str(error.value)


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='the system has no named pipes')
@pytest.mark.parametrize('name', ['a.py', 'a.keras', 'a.json', 'a.ipynb'])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match='is no regular file'):
        read_source(tmp_path / name)


def test_a_name_that_is_none():
    with pytest.raises(ValueError, match='is no name of a file'):
        read_source('a\0.py')


def test_a_compile_config_as_users_write_it(tmp_path):
    (tmp_path / 'c.json').write_text(json.dumps({'optimizer': 'adam', 'loss': ['bce', None], 'loss_weights': [1, 2]}))
    (output,) = read_source(tmp_path / 'c.json').outputs
    assert [(item.name, item.weight) for item in output.losses] == [('binary_crossentropy', 1)]
