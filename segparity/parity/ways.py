"""The ways in which a loss runs in a framework, each a row of the check, and the cases that each of them replays.

PyTorch: ``plain`` are its own operators, ``fused`` are those that work block by block, which large logits take by
themselves, ``kernels`` are those for CUDA (or in Triton's interpreter, where TRITON_INTERPRET=1 says so). Keras:
``eager``, and compiled, ``graph`` and ``xla`` by TensorFlow, ``jit`` by JAX. The first way of a framework replays every
case. What else compiles replays few, of one shape, so that each loss compiles once or twice.
"""

from segparity.parity import replay
from segparity.parity.frameworks import FRAMEWORKS
from segparity.parity.large_cases import LARGE
from shared_spec import LOSSES, Example

WAYS = {
    'torch': ('plain', 'fused', 'kernels'),
    'keras_tensorflow': ('eager', 'graph', 'xla'),
    'keras_jax': ('jit', 'eager'),
    'keras_jax_x64': ('jit',),
    'keras_torch': ('eager',),
}
OVERLAP = ('fused', 'kernels')  # not of every loss

# every example meets these; the default example meets every case
CORE = ('ignored_border', 'one_image_ignored', 'pixel_weight_soft', 'one_channel')
OF_IMAGES = 'image_weight'  # and those with a mean over images this
# losses that look at what lies away from borders alone meet these, in every example; others gain nothing from them
OF_AREAS = ('two_areas', 'two_areas_ignored', 'two_areas_one_channel')
# one compilation of a loss, or of a loss of one channel; beside them where soft labels are taken a second
FEW = ('ignored_border', 'ignored_not_a_number', 'not_a_number', 'infinite', 'huge_logits', 'huge_where_right')
FEW_ONE = ('one_channel_absent', 'one_channel_not_a_number', 'one_channel_huge_logits')
FEW_FEATURES = ('features', 'features_weighted', 'features_equal', 'features_infinite')
FEW_WEIGHTED = ('pixel_weight_soft',)
YOURS = 'your data'


def first_example(name: str) -> str:
    return next(iter(LOSSES[name].examples))


def averages_images(example: Example) -> bool:
    """Whether an example has a mean over images in which their weights matter."""
    return bool(set(example.params.get('granularity', 'D')) & {'I', 'C'})


def plan(name: str) -> list[tuple[str, str]]:
    """(example, case) pairs that a check of ``name`` replays."""
    examples = LOSSES[name].examples
    return [
        (e, c)
        for _, e, c in replay.combinations([name])
        if (LOSSES[name].needs_areas or c not in OF_AREAS)
        and (e == first_example(name) or c in CORE + OF_AREAS or (c == OF_IMAGES and averages_images(examples[e])))
    ]


def replays(framework: str, way: str, name: str, example: str, case: str) -> bool:
    """Whether a way replays a pair of ``plan(name)``, or your data."""
    if way == 'xla' and LOSSES[name].on_host:
        return False
    if way == WAYS[framework][0] or way == 'fused':
        return True
    first = LOSSES[name].examples[first_example(name)]
    few: tuple[str, ...] = FEW if 'many' in LOSSES[name].channels and 'many' in first.channels else FEW_ONE
    few = FEW_FEATURES if LOSSES[name].of_features() else few
    return example == first_example(name) and case in (*few, *FEW_WEIGHTED, *OF_AREAS[:2], YOURS)


def large_plan(name: str) -> list[tuple[str, str]]:
    """(example, name of a large case) pairs: the first example and the first with a mean over images.

    None of a loss that takes more than the logits that are large there.
    """
    loss = LOSSES[name]
    of_images = [e for e in loss.examples if averages_images(loss.examples[e])]
    chosen = dict.fromkeys([first_example(name), *of_images[:1]] if loss.is_plain() else ())
    return [(e, c) for e in chosen for c in LARGE if replay.applies(loss, loss.examples[e], LARGE[c]())]


def precisions(framework: str, way: str) -> tuple[str, ...]:
    """Those of the framework; float32 alone where each is a compilation more."""
    all_cases = way == WAYS[framework][0] or way in OVERLAP
    return FRAMEWORKS[framework]['precisions'] if all_cases else ('float32',)
