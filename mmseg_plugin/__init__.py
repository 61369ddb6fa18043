"""segparity for MMSegmentation: importing this package registers every loss and evaluator.

In a config: ``custom_imports = dict(imports=['mmseg_plugin'])``.
"""

from mmseg_plugin import compat

compat.apply()

from mmseg_plugin import evaluation, losses, soft_labels  # noqa: E402
from mmseg_plugin.own_configs import bases  # noqa: E402
from shared_spec._discover import import_all  # noqa: E402

import_all(losses)

__all__ = ['bases', 'compat', 'evaluation', 'losses', 'soft_labels']
