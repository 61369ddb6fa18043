"""Every spec as JSON Schema (draft 2020-12): parameters with their ranges, and what a third framework has to know beside them.

A schema says what JSON Schema can say. Rules that tie parameters together (``validate`` of a spec) and those of inputs
stand in words under ``x-segparity``; ``from_dict`` has the last word.
"""

from typing import Any

from segparity import __version__
from shared_spec import LOSSES, METRICS, LossSpec, MetricSpec
from shared_spec.parameters import REQUIRED

DRAFT = 'https://json-schema.org/draft/2020-12/schema'
SpecClass = type[LossSpec] | type[MetricSpec]
EVERY: dict[str, SpecClass] = {**LOSSES, **METRICS}


def schema_of(name: str) -> dict[str, Any]:
    """The schema of a loss's or metric's configuration, complete in itself."""
    cls = EVERY[name]
    found = definition(cls)
    head = {'$schema': DRAFT, '$id': f'urn:segparity:{__version__}:{name}'}
    if 'losses' not in cls.parameters():
        return {**head, **found}
    return {**head, '$ref': f'#/$defs/{name}', '$defs': {loss: definition(LOSSES[loss]) for loss in LOSSES}}


def schema_of_all() -> dict[str, Any]:
    """One schema of every configuration; each loss and metric under ``$defs``."""
    return {
        '$schema': DRAFT,
        '$id': f'urn:segparity:{__version__}',
        'title': 'A loss or metric of segparity',
        'oneOf': [{'$ref': f'#/$defs/{name}'} for name in EVERY],
        '$defs': {name: definition(cls) for name, cls in EVERY.items()},
    }


def definition(cls: SpecClass) -> dict[str, Any]:
    """What ``to_dict`` of a spec writes, and in words what it means."""
    parameters = cls.parameters()
    needed = [name for name, field in parameters.items() if field.default is REQUIRED]
    return {
        'title': cls.title,
        'description': cls.formula,
        'type': 'object',
        'properties': {'type': {'const': cls.__name__}, **{name: parameter(cls, name) for name in parameters}},
        'required': ['type', *needed],
        'additionalProperties': False,
        'examples': examples(cls),
        'x-segparity': about(cls),
    }


def parameter(cls: SpecClass, name: str) -> dict[str, Any]:
    """The schema of one parameter: range, meaning, default, and what Keras calls it where that differs."""
    field = cls.parameters()[name]
    allowed = field.metadata['allowed']
    only_logits = name == 'from_logits' and issubclass(cls, LossSpec) and cls.needs_logits
    found = {
        **({'const': True} if only_logits else allowed.schema()),
        'description': f'{field.metadata["meaning"]}; {allowed.describe()}',
    }
    worlds = {'mmseg': field.default, 'keras': field.metadata['keras_default']}
    plain = {world: plain_default(allowed, value) for world, value in worlds.items() if value is not REQUIRED}
    if field.default is not REQUIRED:
        found['default'] = plain['mmseg']
    found['x-segparity'] = {'defaults': plain, 'keras_name': field.metadata['keras_name'] or name}
    return found


def plain_default(allowed: Any, value: object) -> Any:
    """A default in what JSON has."""
    return allowed.thaw(allowed.freeze(value))


def about(cls: SpecClass) -> dict[str, Any]:
    """What a framework has to know beside the parameters."""
    found: dict[str, Any] = {
        'kind': 'loss' if cls.__name__ in LOSSES else 'metric',
        'formula': cls.formula,
        'source': cls.source,
        'remarks': cls.remarks,
    }
    if issubclass(cls, LossSpec):
        found |= dict(
            family=cls.family,
            labels=list(cls.labels),
            channels=list(cls.channels),
            spatial_axes=list(cls.spatial_axes),
            needs_logits=cls.needs_logits,
            needs_softmax=cls.needs_softmax,
            needs_region=cls.needs_region,
            learnt=list(cls.learnt),
        )
    else:
        found |= dict(takes=cls.takes)
    return found


def examples(cls: SpecClass) -> list[dict[str, Any]]:
    """Configurations that are tested, complete."""
    return [cls(**example.params).to_dict() for example in cls.examples.values()]
