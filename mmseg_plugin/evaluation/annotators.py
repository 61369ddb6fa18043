"""AnnotatorMetric: agreement with several annotators as an evaluator of MMSegmentation."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

from mmseg_plugin.evaluation.base import NamedABCMeta, identity
from shared_spec.annotators import OWNER, SCORES, annotator_scores, names_of_each
from shared_spec.checks import Integer, Optional
from shared_spec.parameters import check_parameter
from shared_spec.soft_label_arguments import check_weighting


@METRICS.register_module()
class AnnotatorMetric(BaseMetric, metaclass=NamedABCMeta):
    """Logs the means over images of ``shared_spec.annotators.annotator_scores``, in per cent; higher is better.

    'DiceMajority', 'DiceThresholds', 'SoftDice', 'DiceAnnotators', 'DiceAnnotatorsMin' and 'DiceAnnotatorsMax', and
    'IoUAnnotators' likewise. Where all images have the same annotators of the list of ``LoadAnnotatorMaps``: also
    'DiceAnnotator0', ..., 'IoUAnnotator0', ..., with each, by the number in that list. Data samples have ``gt_annotators`` of ``PackSegInputsWithAnnotators`` and ``seg_logits``; of a head with one channel these
    are probabilities. weighting: of the annotators' average. NaN where a logit is no number.
    """

    def __init__(
        self,
        *,
        ignore_index: int | None = 255,
        weighting: str = 'uniform',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ignore_index = check_parameter('AnnotatorMetric', 'ignore_index', Optional(Integer()), ignore_index)
        check_weighting('AnnotatorMetric', weighting, 2)
        self.weighting = weighting
        self._size = sys.maxsize

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Measures a batch of data samples. ValueError for one without annotators or logits."""
        for sample in data_samples:
            for name in ('seg_logits', 'gt_annotators'):
                if name not in sample:
                    raise ValueError(
                        f'AnnotatorMetric: every data sample must have {name!r}, got {sorted(sample)}; the pipeline has '
                        'LoadAnnotatorMaps and PackSegInputsWithAnnotators'
                    )
            logits = sample['seg_logits']['data'].detach().cpu().double()
            prob = logits.softmax(0) if len(logits) > 1 else torch.cat([1 - logits, logits])
            given = dict(ignore_index=self.ignore_index, weighting=self.weighting)
            try:
                maps = sample['gt_annotators']['data'].cpu().numpy()
                found = annotator_scores(prob.numpy(), maps, one_by_one=True, **given)
                counts = self.ignore_index is None or bool((maps != self.ignore_index).all(0).any())
            except (TypeError, ValueError) as error:
                about = f' (image {sample["img_path"]})' if sample.get('img_path') else ''
                sentence = str(error).removeprefix(f'{OWNER}: ').removeprefix('average_annotators: ')
                raise type(error)(f'AnnotatorMetric: {sentence}{about}') from None
            self.results.append((identity(sample), list(found.values()), counts, sample.get('annotator_numbers')))

    def evaluate(self, size: int) -> dict[str, float]:
        """As BaseMetric; but rows are cut to ``size`` only where identities cannot tell the repeated ones."""
        self._size = size
        try:
            return super().evaluate(sys.maxsize)
        finally:
            self._size = sys.maxsize

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Name -> per cent, of all images; one that several processes measured counts once, one all ignored nowhere."""
        if any(name is None for name, *_ in results):
            results = results[: self._size]
        rows = {number if name is None else name: row for number, (name, *row) in enumerate(results)}
        known = [(scores, who) for scores, counts, who in rows.values() if counts]
        names, first = list(SCORES), known[0][1] if known else None
        if first is not None and all(who is not None and list(who) == list(first) for _, who in known):
            names += names_of_each(first)
        if not known:
            return dict.fromkeys(names, np.nan)
        columns = zip(*(scores for scores, _ in known))  # summed exactly, in whatever order the processes came
        return {name: 100 * math.fsum(column) / len(known) for name, column in zip(names, columns)}
