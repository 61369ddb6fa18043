"""The targets that the benchmarks are held against, and how far each is met."""

from typing import NamedTuple

from benchmarks import pixel, resize, tables, timing, under_load

LARGE, MANY, FEW, SMALL = '(2, 19, 512, 1024)', '(4, 150, 256, 256)', '(8, 2, 512, 512)', '(2, 4, 128, 128)'
HARD, SOFT = 'Region losses, hard labels, float32', 'Region losses, soft labels, float32'
OURS, MONAI = 'JaccardMetricLoss', 'MONAI DiceLoss'
SMP = 'SMP JaccardLoss, ignore_index'  # the target is one for ignored pixels
KERAS, KERAS_CE = 'Keras losses, a training step', 'keras SparseCategoricalCrossentropy'
KERAS_COMPOUNDS = (
    'ComboLoss',
    'ExponentialLogarithmicLoss',
    'UnifiedFocalLoss',
    'WeightedSumLoss',
    'GeneralizedWassersteinDiceLoss',
    'SensitivitySpecificityLoss',
    'RobustTLoss',
)
PROCESSES = 'Cost against processes'
THREE = (MONAI, 'SMP JaccardLoss', 'mmseg DiceLoss')  # each in its cheapest form


class Target(NamedTuple):
    """``measured(case)`` is to be at most ``limit``, or at least: None where nothing was measured."""

    text: str
    section: str
    case: str
    measured: object
    limit: float
    at_least: bool = False


def times_of(*others, ours=OURS):
    """Our time over that of the fastest of the others."""

    def measured(case):
        found = [case['seconds'][name] for name in others if name in case['seconds'] and ours in case['seconds']]
        return max(timing.ratio(case['seconds'][ours], times) for times in found) if found else None

    return measured


def faster_than(*others, ours=OURS):
    """The others' time over ours, of the fastest of them."""

    def measured(case):
        found = [case['seconds'][name] for name in others if name in case['seconds'] and ours in case['seconds']]
        return min(timing.ratio(times, case['seconds'][ours]) for times in found) if found else None

    return measured


def time_over_sum(*others, ours):
    """Our time over that of the others, one after another."""

    def measured(case):
        seconds = case['seconds']
        if not all(name in seconds for name in (ours, *others)):
            return None
        return timing.ratio(seconds[ours], [sum(times) for times in zip(*(seconds[name] for name in others))])

    return measured


def logits_of(name=OURS):
    """Peak memory in logits."""
    return lambda case: case['peaks'][name] / case['unit_bytes'] if name in case['peaks'] else None


def error_of(k, name=OURS):
    """Error of the value (0) or of the gradient (1)."""
    return lambda case: case[name][k] if name in case else None


def targets():
    found = []
    for shape in (LARGE, MANY):
        found += [
            Target('time over MONAI DiceLoss', HARD, shape, times_of(MONAI), 1.0),
            Target(f'times faster than {SMP}', HARD, shape, faster_than(SMP), 3.0, True),
            Target('times faster than mmseg DiceLoss', HARD, shape, faster_than('mmseg DiceLoss'), 3.0, True),
            Target('memory in logits', HARD, shape, logits_of(), 1.2),
        ]
    for shape in (FEW, SMALL):
        found.append(Target('time over the fastest of MONAI, SMP, mmseg', HARD, shape, times_of(*THREE), 1.0))
    for shape in (LARGE, MANY, FEW, SMALL):
        found.append(Target('time over MONAI DiceLoss', SOFT, shape, times_of(MONAI), 1.0))
    for shape in (LARGE, MANY, FEW):  # the small one's logits are less than what the allocator takes at a time
        found.append(Target('memory in logits', SOFT, shape, logits_of(), 1.5))
    for labels in ('hard', 'soft'):
        section = f'Accuracy, {labels} labels, float32'
        found += [
            Target('error of the value', section, LARGE, error_of(0), 1e-6),
            Target('error of the gradient', section, LARGE, error_of(1), 1e-5),
        ]
    lovasz = f'19 classes, trained, {LARGE}'
    found += [
        Target('times faster than mmseg', 'Lovasz softmax', lovasz, faster_than('mmseg', ours='segparity'), 5.0, True),
        Target('times faster than SMP', 'Lovasz softmax', lovasz, faster_than('SMP', ours='segparity'), 5.0, True),
        Target('memory in logits', 'Lovasz softmax', lovasz, logits_of('segparity'), 4.0),
    ]
    for shape, scale in resize.CASES:
        where, limit = (resize.TITLE, resize.case_name(shape, scale)), 0.35 if shape[1] == 150 else 0.8
        for name in resize.LOSSES:
            slower = times_of(name + resize.HOST, ours=name)
            found.append(Target(f"{name}: time over the host's way", *where, slower, 1.0))
            found.append(Target(f'{name}: memory in full-size logits', *where, logits_of(name), limit))
    for section, case in (
        ('Lovasz softmax', f'2 classes, trained, {FEW}'),
        ('Lovasz softmax', '2 classes, small, (2, 2, 64, 64)'),
        ('Lovasz hinge', 'hinge, trained, (8, 1, 512, 512)'),
        ('Lovasz hinge', 'hinge, trained, per image, (8, 1, 512, 512)'),
    ):
        found.append(Target('times faster than SMP', section, case, faster_than('SMP', ours='segparity'), 4.0, True))
    for processes in ('2', '4'):
        for name in ('LovaszSoftmaxLoss', 'LovaszSoftmaxLoss, trained'):
            alone = times_of(f'{name}, alone', ours=name)
            found.append(Target(f'{name}: time over sync=False', PROCESSES, processes, alone, 1.5))
    for backend in ('tensorflow', 'jax'):
        case = f'{backend}, compiled, (2, 512, 1024, 19)'
        found.append(Target('time over keras Dice', KERAS, case, times_of('keras Dice'), 1.1))
        for name in KERAS_COMPOUNDS:
            text = f"{name}, time over keras' cross-entropy + Dice"
            found.append(Target(text, KERAS, case, time_over_sum(KERAS_CE, 'keras Dice', ours=name), 1.3))
        text = "WeightedCrossEntropyLoss, time over keras' cross-entropy"
        found.append(Target(text, KERAS, case, times_of(KERAS_CE, ours='WeightedCrossEntropyLoss'), 1.3))
    for how, limit in (('tensorflow, compiled', 12.0), ('jax, compiled', 12.0), ('torch, eager', 6.0)):
        measured = times_of('keras Dice', ours='LovaszSoftmaxLoss')
        found.append(
            Target('LovaszSoftmaxLoss, time over keras Dice', KERAS, f'{how}, (2, 512, 1024, 19)', measured, limit)
        )
    for shape in ('19 classes, 2 x 512 x 1024', '150 classes, 2 x 512 x 512'):
        measured = times_of('softmax and its sum', ours='mIoUD')
        found.append(
            Target('mIoUD, time over a softmax', 'Keras metrics, update_state', f'jax, {shape}', measured, 1.0)
        )
    for case in ('19 classes, 512 x 1024', '150 classes, 512 x 512'):
        measured = times_of('mmseg IoUMetric', ours='CalibrationMetric')
        text = 'CalibrationMetric, time over mmseg IoUMetric'
        found.append(Target(text, 'Metrics, one image at a time', case, measured, 2.0))
    return found + of_pixel_losses() + of_losses_under_load()


def of_pixel_losses():
    """Time beside PyTorch's cross-entropy and MONAI; memory where the logits take at least 64 MiB."""
    found = []
    for section in (pixel.title('hard'), pixel.title('soft')):
        for shape in map(str, pixel.SHAPES):
            small, large = shape == SMALL, shape in (LARGE, MANY)

            def ask(name, limit, *others, where=(section, shape)):
                found.append(Target(f'{name}: time over {others[0]}', *where, times_of(*others, ours=name), limit))

            def ask_memory(name, limit, where=(section, shape)):
                found.append(Target(f'{name}: memory in logits', *where, logits_of(name), limit))

            for name, other in pixel.PIXEL.items():
                ask(name, 2.0 if small else 1.1, other)
            ask(pixel.RECIPE, 2.0 if small else 1.2, pixel.REFERENCE)
            ask(pixel.TWO, 2.0 if small else 1.8, pixel.REFERENCE)
            for name in pixel.COMPOUND:
                ask(name, 2.0 if small else 1.5, pixel.MONAI)
            ask(pixel.WASSERSTEIN, 1.0, f'MONAI {pixel.WASSERSTEIN}')
            if not small:
                ask(pixel.RMI, 4.0, pixel.REFERENCE)
            if large:
                for name in (*pixel.PIXEL, *pixel.COMPOUND):
                    ask_memory(name, 2.0)
                ask_memory(pixel.RMI, 4.0)
    return found


def of_losses_under_load():
    """Not slower than the plain way while other work has the cores."""
    return [
        Target(
            f'{name}: time over {plain}',
            under_load.TITLE,
            under_load.case_name(shape, under_load.BUSY),
            times_of(plain, ours=name),
            1.0,
        )
        for shape in under_load.SHAPES
        for name, plain in under_load.PLAIN.items()
    ]


def table(areas):
    """What was asked and what was measured, the missed ones in bold; nothing where nothing was measured."""
    columns = {}
    for sections in areas.values():
        for section in sections:
            for case, column in (section.get('cases') or section.get('errors') or points(section)).items():
                columns[section['title'], case] = column
    rows = []
    for target in targets():
        column = columns.get((target.section, target.case))
        value = target.measured(column) if column else None
        if value is not None:
            rows.append(
                [
                    f'{target.section}, {target.case}',
                    target.text,
                    target_text(target),
                    number(value),
                    verdict(target, value),
                ]
            )
    return tables.table(['where', 'what', 'asked', 'measured', ''], rows) if rows else ''


def points(section):
    """Point of an axis -> what was measured there, as a case; nothing where there is no axis."""
    if section.get('kind') != 'scaling':
        return {}
    return {
        str(point): dict(seconds={name: of[k] for name, of in section['seconds'].items() if of[k]})
        for k, point in enumerate(section['points'])
    }


def target_text(target):
    return f'at {"least" if target.at_least else "most"} {number(target.limit)}'


def verdict(target, value):
    """Met, or by what factor it is missed."""
    factor = target.limit / value if target.at_least else value / target.limit
    return 'met' if factor <= 1 else f'**missed** by a factor of {number(factor)}'


def number(value):
    return tables.short(value) if value >= 0.01 else f'{value:.0e}'
