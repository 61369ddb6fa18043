"""``save_best`` of mmengine's CheckpointHook for every result that our evaluators log.

The hook infers from parts of names whether larger or smaller is better, and refuses names that hold none it knows
(mmengine 0.10.7: no FWIoU, mFscore, BoundaryIoU, nor anything but losses that is better smaller).
"""

from mmengine.hooks import CheckpointHook

GREATER = ('FWIoU', 'mFscore', 'BoundaryIoU')
LESS = ('ECED', 'ECEI', 'SCED', 'SCEI', 'HDI', 'HDC', 'HD95I', 'HD95C', 'ASSDI', 'ASSDC')

for _keys, _ours in ((CheckpointHook._default_greater_keys, GREATER), (CheckpointHook._default_less_keys, LESS)):
    _keys.extend(name for name in _ours if name not in _keys)
