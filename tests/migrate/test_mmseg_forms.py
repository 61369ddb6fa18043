"""Single forms of configurations: versions, variables of the text, heads, and what is said about them."""

import pytest

from segparity.migrate.items import Unread
from segparity.migrate.reading.mmseg_config import read_mmseg_config
from segparity.migrate.reading.mmseg_items import library_of
from segparity.migrate.reading.values import NOWHERE, Reference


@pytest.fixture
def read(tmp_path, monkeypatch):
    (tmp_path / 'configs').mkdir()
    monkeypatch.chdir(tmp_path / 'configs')

    def read(text, name='one.py', **files):
        for file, content in files.items():
            path = tmp_path / file.replace('__', '/')
            path = path.with_suffix('.py')
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        (tmp_path / 'configs' / name).write_text(text)
        return read_mmseg_config(name)

    return read


def head(loss="dict(type='CrossEntropyLoss')", kind='FCNHead', **more):
    given = ''.join(f', {key}={value}' for key, value in more.items())
    return f"model = dict(decode_head=dict(type='{kind}', num_classes=3, loss_decode={loss}{given}))\n"


NEW, OLD = 'val_evaluator = None\n', "evaluation = dict(metric='mIoU')\n"
VERSIONS = {
    'nothing': ('', {}, None),
    'new': (NEW, {}, None),
    'old': (OLD, {}, '0.x'),
    'old data': ('data = dict(train=dict(type="CustomDataset"))\n', {}, '0.x'),
    'both': (NEW + OLD, {}, None),
    'project': (NEW, {'mmseg__version': "__version__ = '1.1.0'\n"}, '1.1.0'),
    'old project': (OLD, {'mmseg__version': "__version__ = '0.30.0'\n"}, '0.30.0'),
    'project of another time': (OLD, {'mmseg__version': "__version__ = '1.1.0'\n"}, None),
    'broken project': (NEW, {'mmseg__version': '__version__ = ('}, None),
}


@pytest.mark.parametrize('text, files, version', VERSIONS.values(), ids=VERSIONS)
def test_version_from_keys_and_project(read, text, files, version):
    source = read(text + head(), **files)
    assert source.outputs[0].context.version == version
    assert any('every reading is told' in remark for remark in source.remarks) == (
        files.get('mmseg__version', '').startswith("__version__ = '1.1.0'") and text == OLD
    )


DICE = {
    'smooth=1': '1.0',
    'exponent=2, loss_weight=3.0': '1.0',
    'class_weight=[1, 2, 3]': '1.0',
    'eps=1e-3': None,
    'loss_weight=1.0': None,
}


@pytest.mark.parametrize('arguments, version', DICE.items())
def test_version_from_the_arguments_of_dice(read, arguments, version):
    source = read(NEW + head(f"[dict(type='CrossEntropyLoss'), dict(type='DiceLoss', {arguments})]"))
    assert source.outputs[0].context.version == version


def test_variables_of_the_file(read):
    source = read(
        "work_dir = './work/{{ fileBasenameNoExtension }}'\nname = '{{fileBasename}} {{ fileExtname }}'\n" + head()
    )
    assert source.seen_keys['work_dir'] == './work/one' and source.seen_keys['name'] == 'one.py .py'


def test_environment_in_json(read):
    source = read(
        '{"model": {"decode_head": {"type": "FCNHead", "num_classes": {{$N:3}}, "x": "{{$M:a}}/b"}}}', 'one.json'
    )
    assert [part.reason for part in source.unread] == ['decode_head.num_classes: the environment variable N decides']
    assert source.outputs[0].context.num_classes is None


def test_a_base_whose_keys_come_twice_is_remarked(read):
    source = read("_base_ = ['./a.py', './b.py']\n", configs__a=head(), configs__b=head("dict(type='DiceLoss')"))
    assert source.remarks == ['one.py:1: two bases have model, which MMEngine refuses; the later one is read here']
    assert source.outputs[0].losses[0].name == 'DiceLoss'


def test_what_a_base_that_is_missing_may_have_is_not_made_up(read):
    """No default loss, ignored label or sampler where the base may have another one."""
    source = read("_base_ = './none.py'\nmodel = dict(decode_head=dict(type='FCNHead', num_classes=3))\n")
    output = source.outputs[0]
    assert not output.losses and output.context.ignore_index is None and output.context.align_corners is None
    source = read(
        "_base_ = './none.py'\nmodel = dict(decode_head=dict(_delete_=True, type='FCNHead', num_classes=3))\n"
    )
    assert source.outputs[0].losses and source.outputs[0].context.ignore_index == 255


def test_items_of_lists_cannot_be_merged(read):
    """Keys 0, 1 that name items of a base's list are for the command line of MMEngine, not for its files."""
    source = read(
        "_base_ = './a.py'\nmodel = dict(decode_head={'0': dict(num_classes=5)})\n",
        configs__a="model = dict(decode_head=[dict(type='FCNHead', num_classes=3)])\n",
    )
    assert not source.outputs and 'MMEngine refuses it' in source.unread[0].reason


HEADS = {
    'PIDHead': 'indexes its loss_decode',
    'DDRHead': 'indexes its loss_decode',
    'mmdet.Mask2FormerHead': 'matches queries',
    'STDCHead': 'edges of the label map',
    'PointHead': 'sampled points',
    'VPDDepthHead': 'predicts depth',
}


@pytest.mark.parametrize('kind, said', HEADS.items())
def test_heads_whose_losses_are_no_sum_are_refused(read, kind, said):
    output = read(head(kind=kind)).outputs[0]
    assert said in output.refused and not output.losses


def test_a_head_of_the_project_that_matches_masks_is_refused(read):
    source = read(
        "model = dict(decode_head=dict(type='OurMaskHead', num_classes=3, loss_mask=dict(type='DiceLoss')))\n"
    )
    assert 'matches queries' in source.outputs[0].refused


def test_a_head_of_another_package_is_not_taken_for_one_of_mmseg(read):
    source = read('from ours.heads import FCNHead\n' + head().replace("'FCNHead'", 'FCNHead'))
    assert any('ours.heads.FCNHead is a head of the project itself' in remark for remark in source.remarks)


def test_encoding_loss_that_is_switched_off_is_not_remarked(read):
    assert read(head(kind='EncHead')).remarks
    assert not read(head(kind='EncHead', use_se_loss='False')).remarks


def test_a_loss_without_loss_in_its_name_is_remarked(read):
    assert 'does not train on it' in read(head("dict(type='DiceLoss', loss_name='dice')")).remarks[0]
    assert not read(head("dict(type='DiceLoss', loss_name='my_loss')")).remarks


def test_a_loss_of_an_unknown_kind_is_unread(read):
    for loss in ('3', "'CrossEntropyLoss'", 'dict(loss_weight=1.0)', 'dict(type=3)', 'make()', 'unknown'):
        source = read(head(loss))
        assert len(source.unread) == 1 and not source.outputs[0].losses, loss


def test_cityscapes_of_0_x(read):
    source = read("evaluation = dict(metric=['mIoU', 'cityscapes', 'ours'])\n" + head())
    assert [(item.library, item.name) for item, _ in source.metrics] == [
        ('mmseg', 'mIoU'), ('mmseg', 'CityscapesMetric'), ('own', 'ours'),
    ]  # fmt: skip


def test_evaluators_in_an_evaluator(read):
    source = read("val_evaluator = dict(type='Evaluator', metrics=[dict(type='IoUMetric', ignore_index=3)])\n" + head())
    assert [(item.name, item.arguments) for item, _ in source.metrics] == [('IoUMetric', {'ignore_index': 3})]


def test_reduce_zero_label_that_was_not_read(read):
    source = read("import x\ntrain_dataloader = dict(dataset=dict(type='D', reduce_zero_label=x.y()))\n" + head())
    assert source.outputs[0].context.reduce_zero_label is None
    assert source.unread[0].reason.startswith('reduce_zero_label of the training data: ')


def test_old_training_data_go_by_their_pipeline(read):
    """0.x trains on what LoadAnnotations says, whatever the data set says."""
    data = "data = dict(train=dict(type='ADE20KDataset', pipeline=[dict(type='LoadAnnotations'{0})]))\n"
    assert read(data.format('') + head()).outputs[0].context.reduce_zero_label is False
    assert read(data.format(', reduce_zero_label=True') + head()).outputs[0].context.reduce_zero_label is True


TYPES = {
    'CrossEntropyLoss': ('mmseg', 'CrossEntropyLoss'),
    'mmseg.DiceLoss': ('mmseg', 'DiceLoss'),
    'mmseg.models.losses.DiceLoss': ('mmseg', 'DiceLoss'),
    'mmseg_plugin.losses.SoftDiceLoss': ('segparity', 'SoftDiceLoss'),
    'SoftDiceLoss': ('segparity', 'SoftDiceLoss'),
    'CalibrationMetric': ('segparity', 'CalibrationMetric'),
    'mmdet.DiceLoss': ('own', 'mmdet.DiceLoss'),
    'EdgeLoss': ('own', 'EdgeLoss'),
    'monai.losses.DiceCELoss': ('monai', 'DiceCELoss'),
    'segmentation_models_pytorch.losses.DiceLoss': ('smp', 'DiceLoss'),
    'torch.nn.CrossEntropyLoss': ('torch', 'CrossEntropyLoss'),
}


@pytest.mark.parametrize('kind', TYPES)
def test_libraries(kind):
    assert library_of(kind) == TYPES[kind]
    if '.' in kind:
        assert library_of(Reference(kind, NOWHERE)) == TYPES[kind]
    assert library_of('..losses.EdgeLoss') == ('own', 'EdgeLoss') and library_of(3) is None
    assert library_of('DiceLoss', 'mmdet') == ('own', 'DiceLoss')


def test_arguments_are_plain_or_unread(read):
    source = read(
        'import x\nw = x.y\n' + head("dict(type='DiceLoss', a=range(3), b={'c': (1, w)}, d=x.y(), e=float('nan'))")
    )
    arguments = source.outputs[0].losses[0].arguments
    assert arguments['a'] == [0, 1, 2] and arguments['b']['c'][0] == 1
    assert isinstance(arguments['b']['c'][1], Unread) and isinstance(arguments['d'], Unread)
    assert [part.reason.partition(':')[0] for part in source.unread] == [
        'decode_head.loss_decode.b.c[1]', 'decode_head.loss_decode.d',
    ]  # fmt: skip
