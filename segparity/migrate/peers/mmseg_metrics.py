"""The evaluators of MMSegmentation."""

from typing import Any

from segparity.migrate.items import Reading, Verdict
from segparity.migrate.peers.call import REQUIRED, Call
from segparity.migrate.peers.rows import Example, row

CONTEXT = dict(num_classes=3)
OURS = {'mIoU': ('mIoU', 'mAcc'), 'mDice': ('mDice', 'mAcc'), 'mFscore': ('mFscore', 'mPrecision', 'mAcc')}
RESULTS = {'mIoU': 'mIoUD', 'mAcc': 'mAccD', 'mDice': 'mDiceD', 'mFscore': 'mFscoreD', 'mPrecision': 'mPrecisionD'}
PRINTED = 'its results are per cent, rounded to two digits; ours are fractions (per cent in MMSegmentation)'
COUNTS = 'it counts in float32: past 2^24 pixels of a class in one image counts are rounded'
CLASSES = 'the number of classes does not show: give num_classes of ours'


def fine_grained(call: Call, names: list[str], ignore_index: int | None, beta: float = 1.0, *told: str) -> Reading:
    if call.context.num_classes is None:
        return call.none(f'nearest is FineGrained, metrics {names}, levels ["D"]', CLASSES)
    metrics = list(dict.fromkeys(ours for name in names for ours in OURS[name]))
    threshold = call.context.threshold
    if threshold not in (None, 0.5):
        sentence = f'the head of one channel predicts foreground above {threshold:g}, ours above 0.5'
        told = (*told, f'{sentence}: threshold=0.5 in the head makes them the same')
    verdict: Verdict = 'nearest' if told else 'float32'
    return call.reading(
        verdict,
        'FineGrained',
        *told,
        PRINTED,
        COUNTS,
        results=('aAcc', *(RESULTS[name] for name in metrics)),
        num_classes=call.context.num_classes,
        ignore_index=ignore_index,
        levels=['D'],
        metrics=metrics,
        q=[],
        beta=beta,
    )


@row('mmseg', 'IoUMetric', dict(
    ignore_index=255, iou_metrics=('mIoU',), nan_to_num=None, beta=1, collect_device='cpu', output_dir=None,
    format_only=False, prefix=None, keep_results=False, classwise=False,
), kind='metric', examples=(
    Example({}, CONTEXT),
    Example(dict(iou_metrics=['mIoU', 'mDice']), CONTEXT),
    Example(dict(iou_metrics=['mFscore'], beta=2), CONTEXT),
    Example(dict(iou_metrics=['mIoU'], nan_to_num=0), CONTEXT),
))  # fmt: skip
def iou_metric(call: Call) -> Reading:
    asked = call['iou_metrics']
    asked = [asked] if isinstance(asked, str) else list(asked or ['mIoU'])
    names = [name for name in asked if name in OURS]
    told = [f'{name!r} is none of its metrics, which are mIoU, mDice and mFscore' for name in asked if name not in OURS]
    if not names:
        return call.none(*told)
    if 'mFscore' in names:
        told.append('mFscore leaves out a class without a right pixel (0/0), in ours it counts as 0')
    if call['nan_to_num'] is not None:
        told.append(f'nan_to_num counts a class that occurs nowhere as {call["nan_to_num"]}, ours leaves it out')
    label = call['ignore_index']
    if call.truth('format_only'):
        told.append('format_only=True writes predictions and evaluates nothing')
    return fine_grained(call, names, label, call.number('beta', 1), *told)


def of_0_x(name: str) -> None:
    """``evaluation=dict(metric='mIoU')`` of 0.x, whose data set ignores the label of its own."""

    signature: dict[str, Any] = dict(ignore_index=None, nan_to_num=None, beta=1)

    @row('mmseg', name, signature, kind='metric', examples=(Example({}, CONTEXT),))
    def read(call: Call) -> Reading:
        label = call['ignore_index']
        told = ('mFscore leaves out a class without a right pixel (0/0), in ours it counts as 0',)
        label = (255 if call.context.ignore_index is None else call.context.ignore_index) if label is None else label
        return fine_grained(call, [name], label, call.number('beta', 1), *(told if name == 'mFscore' else ()))


for _name in OURS:
    of_0_x(_name)


@row('mmseg', 'CityscapesMetric', dict(
    output_dir=REQUIRED, ignore_index=255, format_only=False, keep_results=False, collect_device='cpu', prefix=None,
), kind='metric', aliases=('cityscapes',), examples=(
    Example(dict(output_dir='out'), dict(num_classes=19), 'none'),
))  # fmt: skip
def cityscapes(call: Call) -> Reading:
    return call.reading(
        'nearest',
        'FineGrained',
        'it writes the predictions as files and calls the official scripts, which also report instance-level iIoU and '
        'categories; the IoU of the 19 classes over the data set is ours',
        results=('mIoUD',),
        num_classes=call.context.num_classes or 19,
        ignore_index=call['ignore_index'],
        levels=['D'],
        metrics=['mIoU'],
        q=[],
    )


@row('mmseg', 'DepthMetric', dict(
    depth_metrics=None, min_depth_eval=0.0, max_depth_eval=float('inf'), crop_type=None, depth_scale_factor=1.0,
    collect_device='cpu', output_dir=None, format_only=False, prefix=None,
), kind='metric', examples=(Example({}, CONTEXT, 'none'),))  # fmt: skip
def depth(call: Call) -> Reading:
    return call.none('it measures depth')
