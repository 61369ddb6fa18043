"""segparity: the same segmentation losses and metrics in MMSegmentation and Keras, checked against one spec."""

__version__ = '0.1.0'


def check_parity(names=None, data=None, **options):
    """Values and gradients of every installed implementation beside the reference; see ``segparity.parity.check``."""
    from segparity.parity import check_parity

    return check_parity(names, data, **options)


__all__ = ['__version__', 'check_parity']
