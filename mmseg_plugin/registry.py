"""The losses by name, for whoever has PyTorch; MMSegmentation's registries have the same classes: ``host.join``."""

LOSSES = {}


def register(cls):
    """Gives a loss its name."""
    LOSSES[cls.__name__] = cls
    return cls


def build(config):
    """The loss of a configuration such as ``dict(type='JaccardMetricLoss', smooth=1.0)``."""
    arguments = dict(config)
    return LOSSES[arguments.pop('type')](**arguments)
