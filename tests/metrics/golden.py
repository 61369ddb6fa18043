"""The golden vectors of the overlap metrics: numbers that the official implementations computed."""

import json
from pathlib import Path

import numpy as np

from shared_spec.metrics.fine_grained import FineGrained

FOLDER = Path(__file__).resolve().parents[1] / 'golden' / 'metrics'
EVERY_METRIC = ('mAcc', 'mIoU', 'mDice', 'mPrecision', 'mFscore')


class Golden:
    """One case: ``preds`` and ``targets`` (lists of id maps), ``spec``, and ``expected`` with its arrays loaded."""

    def __init__(self, entry):
        self.id, self.check = entry['id'], entry['check']
        self.params, self.not_ours = entry['params'], entry.get('not_ours', [])
        arrays = np.load(FOLDER / f'{self.id}.npz')
        if self.params.get('list'):
            images = range(self.params['num_images'])
            self.preds, self.targets = ([arrays[f'{kind}_{i}'] for i in images] for kind in ('pred', 'label'))
        else:
            self.preds, self.targets = list(arrays['pred']), list(arrays['label'])
        self.expected = {
            name: arrays[value['npz']] if isinstance(value, dict) else float(value)
            for name, value in entry['expected'].items()
        }
        self.spec = FineGrained(
            num_classes=self.params['num_classes'],
            ignore_index=self.params.get('ignore_index'),
            q=self.params.get('q', [1, 5]),
            metrics=EVERY_METRIC,
            beta=self.params.get('beta', 1),
            binary=self.params.get('binary', False),
        )

    def published(self):
        """Our name -> fraction, for those of the case's numbers that the catalogue follows."""
        if self.check == 'jdt':
            ours = {'aAcc' if name == 'Acc' else name: value for name, value in self.followed().items()}
            return {name: value / 100 for name, value in ours.items() if name in self.spec.names()}
        if self.check == 'city':
            return {'mIoUD': self.expected['averageScoreClasses']}
        if self.check == 'mmseg':
            means = {f'm{n}D': np.nanmean(v) for n, v in self.per_class().items() if self.params['nan_to_num'] != 0}
            return {'aAcc': self.expected['raw.aAcc'], 'FWIoU': self.expected['formula.FWIoU'], **means}
        return {}

    def followed(self):
        return {name: value for name, value in self.expected.items() if name not in self.not_ours}

    def per_class(self):
        """Name of a score -> (classes,) fractions, without mmseg's F-score, which is not ours."""
        if self.check == 'city':
            return {'IoU': self.expected['classIoU']}
        return {name: self.expected[f'class.{name}'] for name in ('Acc', 'IoU', 'Dice', 'Precision')}


def index():
    return json.loads((FOLDER / 'index.json').read_text())


def golden(case_id):
    return Golden(next(entry for entry in index() if entry['id'] == case_id))


def ids(*checks):
    return [entry['id'] for entry in index() if entry['check'] in checks]
