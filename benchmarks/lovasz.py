"""Time and memory of the Lovasz losses in PyTorch, beside their peers: ``python benchmarks/lovasz.py``.

One call forward and backward on float32 logits, labels in blocks with ignored pixels. All run in turns in one process;
the table has the median time, the median over the rounds of the ratio to our loss, and the peak memory above the
inputs, in units of the logits, each in a fresh process. Peers are left out where they are missing. SMP's and
MMSegmentation's losses take the whole batch at once, like ours; per image where the setting says so.
"""

import json

from benchmarks import area, results
from benchmarks.memory import peak_bytes
from benchmarks.overlap import compare, prepare_step, unit_bytes

OURS, ALL = 'segparity', "segparity, classes='all'"
SOFTMAX = {
    OURS: 'LovaszSoftmaxLoss',
    ALL: "LovaszSoftmaxLoss, classes='all'",
    'mmseg': 'mmseg LovaszLoss',
    'SMP': 'SMP LovaszLoss',
}
HINGE = {OURS: 'LovaszHingeLoss', 'mmseg': 'mmseg LovaszLoss, binary', 'SMP': 'SMP LovaszLoss, binary'}
PER_IMAGE, HINGE_PER_IMAGE = (
    {key: f'{name}, per image' for key, name in names.items() if key != ALL} for names in (SOFTMAX, HINGE)
)
SETTINGS = {
    '19 classes, trained': (SOFTMAX, (2, 19, 512, 1024), 6.0),
    '19 classes, trained, per image': (PER_IMAGE, (2, 19, 512, 1024), 6.0),
    '19 classes, untrained': (SOFTMAX, (2, 19, 512, 1024), 0.0),
    '150 classes, trained': (SOFTMAX, (4, 150, 256, 256), 6.0),
    '2 classes, trained': (SOFTMAX, (8, 2, 512, 512), 4.0),
    '2 classes, small': (SOFTMAX, (2, 2, 64, 64), 4.0),
    'hinge, trained': (HINGE, (8, 1, 512, 512), 4.0),
    'hinge, trained, per image': (HINGE_PER_IMAGE, (8, 1, 512, 512), 4.0),
}
QUICK = {
    '3 classes': (SOFTMAX, (2, 3, 32, 32), 4.0),
    'hinge': (HINGE, (2, 1, 32, 32), 4.0),
}


def measure(options):
    settings = QUICK if options.quick else {name: SETTINGS[name] for name in options.settings}
    for title, hinge in (('Lovasz softmax', False), ('Lovasz hinge', True)):
        cases = {}
        for setting, (names, shape, margin) in settings.items():
            if setting.startswith('hinge') == hinge:
                column = compare(names.values(), shape, margin=margin, rounds=options.rounds)
                cases[f'{setting}, {shape}'] = results.rename(column, {name: key for key, name in names.items()})
        if cases:
            yield results.comparison(title, cases, OURS)


def memory(setting, name):
    """The peak of a setting's loss in units of the logits."""
    _, shape, margin = SETTINGS[setting]
    return peak_bytes(prepare_step, name, shape, 'hard', 'float32', margin) / unit_bytes(shape)


def main():
    parser = area.parser(__doc__)
    parser.add_argument('--settings', nargs='+', choices=SETTINGS, default=list(SETTINGS), metavar='SETTING')
    parser.add_argument('--memory', metavar='NAME', help='print only the memory of one loss in the first setting')
    options = parser.parse_args()
    if options.memory:
        area.confine(options.threads)
        print(json.dumps(memory(options.settings[0], options.memory)))
    else:
        area.run(measure, options)


if __name__ == '__main__':
    main()
