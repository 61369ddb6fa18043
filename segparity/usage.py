"""The lines that ``segparity show`` prints to be copied: they run as they stand, in a configuration and in Keras."""

import re
from collections.abc import Iterable, Mapping

from shared_spec import LOSSES, METRICS, LossSpec, MetricSpec

SpecClass = type[LossSpec] | type[MetricSpec]
KERAS_MODULES = 'layers', 'losses', 'metrics'
BRANCHES = {  # loss -> the branch of a head that hands it what it needs
    'BoundaryAwareLoss': 'DistanceBranch',
    'ConditionalBoundaryLoss': 'ClassifierBranch',
    'InverseFormLoss': 'EdgeBranch',
    'PixelContrastLoss': 'EmbeddingBranch',
    'PixelTripletLoss': 'EmbeddingBranch',
    'SemanticEncodingLoss': 'PresenceBranch',
}


def specs_of(name: str) -> list[SpecClass]:
    """The specs that a name stands for: that of a loss or metric, or of a class in either world; [] where unknown."""
    known: dict[str, SpecClass] = {**LOSSES, **METRICS}
    return [known[name]] if name in known else [spec for spec in known.values() if name in classes(spec)]


def known_names() -> list[str]:
    """Every name that ``specs_of`` knows."""
    known: dict[str, SpecClass] = {**LOSSES, **METRICS}
    return sorted({*known, *(name for spec in known.values() for name in classes(spec))})


def classes(spec: SpecClass) -> set[str]:
    """The names of the classes that make up a spec in both worlds."""
    return {getattr(spec, 'mmseg_type', ''), *classes_built_by(keras_text(spec))} - {''}


def classes_built_by(text: str) -> list[str]:
    """The names of the classes of ``keras_plugin`` that lines build."""
    return re.findall(rf'\b(?:{"|".join(KERAS_MODULES)})\.(\w+)\(', text)


def mmseg_lines(spec: SpecClass) -> str:
    """A part of a configuration file."""
    text = getattr(spec, 'mmseg_line', '')
    if not text:
        given = {'ignore_index': 255} if 'ignore_index' in spec.parameters() else {}
        one = spec.channels == ('one',)  # type: ignore[union-attr]  # metrics have an ``mmseg_line``
        head = 'num_classes=2, out_channels=1, threshold=0.5, ' if one else ''
        loss = call('dict', {'type': spec.__name__, **given})
        text = f'model = dict(decode_head=dict({head}loss_decode=[{loss}]))'
        if branch := BRANCHES.get(spec.__name__):
            arguments = f"type='BranchedHead', head_type='FCNHead', branches=[dict(type={branch!r}, loss={loss})]"
            text = f'model = dict(decode_head=dict({arguments}))'
    return f"custom_imports = dict(imports=['mmseg_plugin'])\n{text}"


def torch_lines(spec: SpecClass) -> str:
    """What builds the loss or metric in any loop of PyTorch."""
    room, variable = ('losses', 'loss') if spec.__name__ in LOSSES else ('metrics', 'metric')
    given = {'num_classes': 19} if room == 'metrics' else {}
    given |= {'ignore_index': 255} if 'ignore_index' in spec.parameters() else {}
    text = getattr(spec, 'torch_line', '') or f'{variable} = {call(spec.__name__, given)}'
    needs = getattr(spec, 'needs', ())
    text += f'\n# value = loss(logits, labels, {named(needs)})' if needs else ''
    return f'from mmseg_plugin.{room} import {spec.__name__}\n\n{text}'


def named(needs: Iterable[str]) -> str:
    """What a call is given by name, as source text."""
    return ', '.join(f'{name}={name}' for name in needs)


def keras_lines(spec: SpecClass, name: str) -> str:
    """What builds the class ``name``, or every class of the spec where that is none of Keras."""
    text = keras_text(spec)
    if name != spec.__name__ and name in classes_built_by(text) and len(classes_built_by(text)) > 1:
        text = '\n'.join(line for line in text.splitlines() if name in classes_built_by(line))
    modules = [module for module in KERAS_MODULES if re.search(rf'\b{module}\.', text)]
    arrays = 'import numpy as np\n\n' if 'np.' in text else ''
    return f'{arrays}from keras_plugin import {", ".join(modules)}\n\n{text}'


def keras_text(spec: SpecClass) -> str:
    text = getattr(spec, 'keras_line', '')
    if text:
        return text
    names = spec.keras_names()
    given = {k: v for k, v in (('from_logits', True), ('ignore_class', 255)) if k in names}
    return f'loss = {call("losses." + spec.__name__, given)}'


def call(function: str, arguments: Mapping[str, object]) -> str:
    """``function(a=1, b='x')`` as source text."""
    return f'{function}({", ".join(f"{k}={v!r}" for k, v in arguments.items())})'
