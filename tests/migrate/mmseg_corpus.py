"""What each configuration of ``corpus/mmseg`` says, written down by hand beside it.

The forms are those that real configurations have; the files are ours.
"""

import dataclasses
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / 'corpus' / 'mmseg'


@dataclasses.dataclass(frozen=True)
class Said:
    """heads: name -> its losses as (name, arguments), in order, or the start of the sentence that refuses them.

    metrics: (name, arguments). facts: head -> what differs from the usual context. read: 'fully', 'partly' where something
    that may matter was not read, 'not' where nothing of losses and metrics was. unread: (line, part of the reason).
    remarks: parts of sentences.
    """

    heads: dict[str, Any]
    metrics: tuple = (('IoUMetric', {'iou_metrics': ['mIoU']}),)
    facts: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    read: str = 'fully'
    unread: tuple = ()
    remarks: tuple = ()
    version: str | None = None
    reduce_zero_label: bool | None = False


def ce(weight=None, **more):
    return 'CrossEntropyLoss', more if weight is None else {'loss_weight': weight, **more}


PLAIN, AUXILIARY = ce(1.0, use_sigmoid=False), ce(0.4, use_sigmoid=False)
HEADS = {'decode_head': [PLAIN], 'auxiliary_head': [AUXILIARY]}
WEIGHTS = [0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969]
WEIGHED = ce(1.0, use_sigmoid=False, class_weight=WEIGHTS)
WEIGHED_AUXILIARY = ce(0.4, use_sigmoid=False, class_weight=WEIGHTS)
OHEM = 'OHEMPixelSampler(thresh=%s, min_kept=100000)'
DEFAULT = 'has no loss_decode, so the default of its head is meant'
SCENES = (('IoUMetric', {'iou_metrics': ['mIoU', 'mDice', 'mFscore']}),)
BOTH = {'decode_head', 'auxiliary_head'}


def classes(count, **more):
    return dict(num_classes=count, channels=count, **more)


CORPUS = {
    'base_only.py': Said(HEADS),
    'num_classes.py': Said(HEADS, facts={'decode_head': classes(9), 'auxiliary_head': classes(9, ignore_index=0)}),
    'ce_dice.py': Said(
        {
            'decode_head': [ce(1.0, loss_name='loss_ce'), ('DiceLoss', {'loss_name': 'loss_dice', 'loss_weight': 3.0})],
        }
    ),
    'delete_loss.py': Said(
        {
            'decode_head': [('FocalLoss', {'gamma': 2.0, 'alpha': 0.25, 'loss_weight': 1.0})],
            'auxiliary_head': [('LovaszLoss', {'per_image': True, 'reduction': 'none', 'loss_weight': 0.4})],
        }
    ),
    'no_delete.py': Said(
        {
            'decode_head': [
                ce(1.0, use_sigmoid=False, avg_non_ignore=True, class_weight=[1.0, 1.0, 1.0, 1.0, 1.0, 0.1])
            ],
            'auxiliary_head': [AUXILIARY],
        }
    ),
    'class_weights_by_name.py': Said({'decode_head': [WEIGHED], 'auxiliary_head': [WEIGHED_AUXILIARY]}),
    'base_variables.py': Said(
        {
            'decode_head': [WEIGHED, ('DiceLoss', {'eps': 1e-5, 'naive_dice': True})],
            'auxiliary_head': [WEIGHED_AUXILIARY],
        }
    ),
    'base_attributes.py': Said(
        {
            'decode_head': [ce(1.0, use_sigmoid=False, class_weight=[*WEIGHTS, 2.0])],
            'auxiliary_head': [WEIGHED_AUXILIARY],
        },
        facts={'decode_head': classes(7)},
    ),
    'cascade.py': Said(
        {'decode_head[0]': [ce(0.4, use_sigmoid=False)], 'decode_head[1]': [PLAIN]},
        metrics=SCENES,
        facts={
            'decode_head[0]': classes(4, align_corners=True),
            'decode_head[1]': classes(4, align_corners=True, sampler=OHEM % 0.9),
        },
        remarks=('test_evaluator writes predictions (format_only=True)',),
        reduce_zero_label=True,
    ),
    'cascade_replaced.py': Said(
        {'decode_head[0]': [ce(0.4)], 'decode_head[1]': [PLAIN]},
        metrics=SCENES,
        facts={'decode_head[0]': classes(150), 'decode_head[1]': classes(150)},
        remarks=('test_evaluator writes', f'cascade_replaced.py:6: decode_head[1] {DEFAULT}'),
        reduce_zero_label=True,
    ),
    'auxiliary_list.py': Said(
        {'decode_head': [PLAIN], **{f'auxiliary_head[{i}]': [ce(0.4 / (i + 1), use_sigmoid=False)] for i in range(3)}}
    ),
    'one_channel.py': Said(
        {'decode_head': [ce(1.0, use_sigmoid=True), ('DiceLoss', {'use_sigmoid': True, 'loss_weight': 1.0})]},
        metrics=(('IoUMetric', {'iou_metrics': ['mDice', 'mIoU'], 'ignore_index': 0}),),
        facts={'decode_head': dict(num_classes=2, channels=1)},
    ),
    'sampler.py': Said(HEADS, facts={'decode_head': dict(sampler=OHEM % 0.7)}),
    'ohem_loss.py': Said(
        {
            'decode_head': [
                ('OhemCrossEntropy', {'thres': 0.9, 'min_kept': 131072, 'class_weight': None, 'loss_weight': 1.0})
            ],
            'auxiliary_head': [AUXILIARY],
        }
    ),
    'tversky.py': Said(
        {'decode_head': [('TverskyLoss', {'alpha': 0.3, 'beta': 1 - 0.3, 'smooth': 1})], 'auxiliary_head': [AUXILIARY]}
    ),
    'ours.py': Said(
        {
            'decode_head': [
                (
                    'segparity.WeightedSumLoss',
                    {
                        'weights': [1.0, 0.5],
                        'losses': [
                            ('segparity.WeightedCrossEntropyLoss', {'class_weight': [1, 1, 1, 1, 1, 2]}),
                            ('segparity.JaccardMetricLoss', {}),
                        ],
                    },
                )
            ],
            'auxiliary_head': [AUXILIARY],
        },
        metrics=(
            ('IoUMetric', {'iou_metrics': ['mIoU']}),
            ('segparity.FineGrainedMetric', {'ignore_index': 255, 'q': [1, 5]}),
        ),
    ),
    'own_loss.py': Said(
        {
            'decode_head': [('own.EdgeAwareLoss', {'radius': 3, 'loss_weight': 0.5}), ce()],
            'auxiliary_head': [AUXILIARY],
        },
        metrics=(('own.FieldMetric', {'border': 2}),),
        remarks=('FieldHead is a head of the project itself',),
    ),
    'no_loss_decode.py': Said({'decode_head': [PLAIN]}, remarks=(f'no_loss_decode.py:5: decode_head {DEFAULT}',)),
    'item_assignment.py': Said(
        {'decode_head': [ce(2.0, use_sigmoid=False)]},
        facts={'decode_head': classes(4, ignore_index=4)},
        reduce_zero_label=True,
    ),
    'old_mean_iou.py': Said(
        {
            'decode_head': [ce(1.0, use_sigmoid=False, class_weight=[0.5, 1.0, 1.0, 1.0, 1.0, 1.5])],
            'auxiliary_head': [AUXILIARY],
        },
        metrics=(('mIoU', {}),),
        version='0.x',
        reduce_zero_label=True,
    ),
    'old_dice.py': Said(
        {
            'decode_head': [ce(0.5), ('DiceLoss', {'smooth': 1, 'exponent': 2, 'loss_weight': 0.5})],
            'auxiliary_head': [AUXILIARY],
        },
        metrics=(('mIoU', {}), ('mFscore', {})),
        version='0.x',
        reduce_zero_label=True,
    ),
    'old_one_file.py': Said(
        {'decode_head': [ce(1, use_sigmoid=False, class_weight=[0.3, 0.7, 0])]},
        metrics=(('mIoU', {}),),
        facts={'decode_head': classes(2, ignore_index=2)},
        version='0.x',
    ),
    'new_style_update.py': Said(
        {
            'decode_head': [ce(1.0, use_sigmoid=False, class_weight=[1.0] * 7 + [0.5])],
            'auxiliary_head': [('DiceLoss', {'use_sigmoid': False})],
        },
        facts={'decode_head': classes(8, ignore_index=7, align_corners=True), 'auxiliary_head': classes(8)},
        reduce_zero_label=True,
    ),
    'new_style_names.py': Said(
        {'decode_head': [('LovaszLoss', {'reduction': 'none'})]},
        metrics=(('IoUMetric', {'iou_metrics': ['mIoU']}), ('CityscapesMetric', {'output_dir': 'out'})),
        facts={'decode_head': classes(7)},
        reduce_zero_label=True,
    ),
    'external_base.py': Said(
        {'decode_head': [PLAIN], 'auxiliary_head': [AUXILIARY]},
        metrics=SCENES,
        facts=dict.fromkeys(BOTH, classes(150)),
        remarks=('test_evaluator writes',),
        reduce_zero_label=True,
    ),
    'two_heads.py': Said(
        {'decode_head.binary_head': [ce(1.0)], 'decode_head.semantic_head': [ce(avg_non_ignore=True)]},
        metrics=(),
        facts={'decode_head.binary_head': classes(2)},
        remarks=(),
        reduce_zero_label=None,
    ),
    'pidnet.py': Said(
        {'decode_head': 'PIDHead indexes its loss_decode'},
        facts={'decode_head': classes(3, align_corners=True)},
    ),
    'mask2former.py': Said(
        {'decode_head': 'Mask2FormerHead matches queries'},
        facts={'decode_head': classes(9)},
        reduce_zero_label=None,
    ),
    'encnet.py': Said(
        {'decode_head': [PLAIN], 'auxiliary_head': [AUXILIARY]},
        remarks=('encnet.py:3: EncHead adds loss_se_decode',),
    ),
    'environment.py': Said(
        HEADS,
        facts={'decode_head': classes(None)},
        read='partly',
        unread=((4, 'decode_head.num_classes: the environment variable FIELDS_CLASSES decides'),),
    ),
    'outside.py': Said(
        HEADS,
        facts={'decode_head': classes(3)},
        read='partly',
        unread=((1, 'it stands on ../../../../../../../elsewhere/secret.py, which is outside of its project'),),
    ),
    'missing_base.py': Said(
        {'decode_head': []},
        metrics=(('IoUMetric', {'**': None}),),
        facts={'decode_head': classes(3, ignore_index=None, align_corners=None)},
        read='partly',
        unread=((1, 'it stands on ./not_here.py: No such file'),),
        reduce_zero_label=None,
    ),
    'cycle.py': Said(
        {'decode_head': [('CrossEntropyLoss', {'**': None})]},  # its base may give it more arguments
        metrics=(),
        facts={'decode_head': classes(3, ignore_index=None, align_corners=None)},
        read='partly',
        unread=((1, 'which stands on it'),),
        reduce_zero_label=None,
    ),
    'computed.py': Said(
        {
            'decode_head': [ce(1.0, use_sigmoid=False, class_weight=None)],
            'auxiliary_head': [ce(None, use_sigmoid=False, loss_weight=None)],
        },
        read='partly',
        unread=(
            (7, 'decode_head.loss_decode.class_weight: what the call gives'),
            (9, 'auxiliary_head.loss_decode.loss_weight: what the call gives'),
        ),
    ),
    'environment_branch.py': Said(
        {'decode_head': [ce(None, use_sigmoid=False, loss_weight=None)], 'auxiliary_head': [AUXILIARY]},
        read='partly',
        unread=((5, "decode_head.loss_decode.loss_weight: it depends on `os.environ.get('DICE')`"),),
    ),
    'functions.py': Said(
        {
            'decode_head': [
                PLAIN,
                ('DiceLoss', {'loss_weight': 2.0, 'loss_name': 'loss_dice'}),
                ('LovaszLoss', {'loss_weight': 0.5, 'loss_name': 'loss_lova'}),
            ],
            'auxiliary_head': [AUXILIARY],
        }
    ),
    'disagreeing.py': Said(
        HEADS, remarks=('the training data sets disagree in reduce_zero_label',), reduce_zero_label=None
    ),
    'distillation.json': Said(
        {'decode_head': [ce(2.0, use_sigmoid=False)], 'auxiliary_head': [AUXILIARY]},
        facts={'decode_head': classes(4), 'auxiliary_head': classes(6)},
    ),
    'plain.yaml': Said(
        {'decode_head': [('DiceLoss', {'loss_weight': 1.5})], 'auxiliary_head': [AUXILIARY]},
        facts={'decode_head': classes(3)},
    ),
    'list_over_dict.py': Said(
        {'decode_head': []},
        read='partly',
        unread=(
            (3, 'decode_head.loss_decode: MMEngine refuses it: loss_decode is a dict here and a list in its base'),
        ),
    ),
    'python2.py': Said({}, metrics=(), read='not'),
}
