"""JDTLosses' training recipes, put together from losses that a test builds, and what its own code computed.

A recipe is a sum over the main head and an auxiliary head. Pixels: cross-entropy with hard labels, KL divergence from
soft ones (cross-entropy less the labels' entropy), half of each under distillation, where logits and teacher are
divided by the temperature and the divergence is multiplied by its square. Regions, main head alone: Jaccard or Dice.
"""

import numpy as np

from shared_spec import soft_labels
from tests.metrics.boundary_rules import arrays, index

CASES = index('recipe')


class Recipe:
    """One case: its labels, and the two terms of its loss out of the losses that ``build(name, **params)`` gives."""

    def __init__(self, case_id, build):
        self.arrays, self.entry, self.params = arrays(case_id), CASES[case_id], CASES[case_id]['params']
        p, self.build = self.params, build
        assert p['gamma'] == 1 and not p['log_loss'] and p['class_weights'] is None
        self.label = self.arrays['label']
        self.valid = (self.label != p['ignore_index']) * 1.0
        self.cross_entropy = self.loss('WeightedCrossEntropyLoss')

    def loss(self, name, **params):
        return self.build(name, ignore_index=self.params['ignore_index'], **params)

    def region(self, kind):
        """The region loss for 'hard' or 'soft' labels."""
        p = self.params
        return self.loss(
            {(1, 1): 'JaccardMetricLoss', (0.5, 0.5): 'DiceSemimetricLoss'}[p['alpha'], p['beta']],
            granularity={level: p[f'mIoU{level}'] for level in 'DIC'},
            classes=p[f'active_classes_mode_{kind}'].lower(),
            presence_threshold=p['threshold'],
            smooth=p['smooth'],
        )

    def soft(self):
        """Boundary label smoothing of the labels, or None."""
        p = self.params
        if p['kind'] != 'ls':
            return None
        given = {k: p[k] for k in ('num_classes', 'ignore_index')}
        return soft_labels.boundary_label_smoothing(self.label, p['epsilon'], p['k'], **given)

    def teacher(self, name='teacher_logits'):
        """The teacher's probabilities at the temperature."""
        z = np.exp(self.arrays[name] / self.params['T'])
        return z / z.sum(1, keepdims=True)

    def divergence(self, logits, soft):
        """KL(soft || softmax(logits)), mean over the valid pixels."""
        return self.cross_entropy(logits, soft, self.valid) - self.entropy(soft)

    def entropy(self, soft):
        """The mean entropy of the labels of the valid pixels."""
        entropy = -(soft * np.log(np.where(soft > 0, soft, 1))).sum(1)
        return (entropy * self.valid).sum() / self.valid.sum()

    def pixels(self, logits, teacher):
        """The term of one head."""
        p = self.params
        if p['kind'] == 'hard':
            return self.cross_entropy(logits, self.label)
        if p['kind'] == 'ls':
            return self.divergence(logits, self.soft())
        distilled = p['T'] ** 2 * self.divergence(logits / p['T'], self.teacher(teacher))
        return p['label_weight'] * self.cross_entropy(logits, self.label) + p['teacher_weight'] * distilled

    def regions(self, logits):
        p = self.params
        if p['kind'] == 'ls':
            return self.region('soft')(logits, self.soft(), self.valid)
        hard = self.region('hard')(logits, self.label)
        if p['kind'] == 'hard':
            return hard
        soft = self.region('soft')(logits, self.teacher(), self.valid)  # of softmax(z), not of softmax(z / T)
        return p['label_weight'] * hard + p['teacher_weight'] * soft

    def terms(self, logits, aux_logits):
        """The pixels' part of the loss, and the regions'."""
        p = self.params
        pixels = p['main_weight'] * self.pixels(logits, 'teacher_logits')
        if p['aux']:
            pixels = pixels + p['aux_weight'] * self.pixels(aux_logits, 'aux_teacher_logits')
        return p['ce_weight'] * pixels, p['jdt_weight'] * self.regions(logits)

    def assert_close(self, got, name):
        """``got`` is the number or the array of that name which the case publishes, to the case's tolerances."""
        published = self.entry['expected'][name]
        want = self.arrays[published['npz']] if isinstance(published, dict) else published
        np.testing.assert_allclose(got, want, rtol=self.entry['rtol'], atol=self.entry['atol'], err_msg=name)

    def assert_terms(self, pixels, regions):
        self.assert_close(float(pixels), 'loss_ce')
        self.assert_close(float(regions), 'loss_jdt')
        self.assert_close(float(pixels + regions), 'loss')
