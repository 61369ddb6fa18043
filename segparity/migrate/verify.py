"""``--verify``: a migration measured on probe tensors, the source's side and ours, as far as frameworks are installed."""

import dataclasses
import os

from segparity.migrate.items import WORDS, Migrated, Reading
from segparity.migrate.measure import measure
from segparity.migrate.plan import Plan, parts_of
from segparity.parity.check import Row, check_parity
from segparity.parity.frameworks import installed_frameworks
from segparity.parity.tolerances import VALUE
from shared_spec.spec import LossSpec


def measured(plan: Plan) -> Plan:
    """The plan with what the source's own framework says of each item where it is installed.

    A reading that measures worse than its verdict says becomes a nearest one, with the sentence.
    """
    outputs = tuple((output, tuple(map(measured_item, losses))) for output, losses in plan.outputs)
    return dataclasses.replace(plan, outputs=outputs, metrics=tuple(map(measured_item, plan.metrics)))


def measured_item(migrated: Migrated) -> Migrated:
    readings = tuple(measured_reading(migrated, reading) for reading in migrated.readings)
    return dataclasses.replace(migrated, readings=readings)


def measured_reading(migrated: Migrated, reading: Reading) -> Reading:
    found = measure(migrated.item, reading, migrated.context)
    if found is None:
        return reading
    if reading.verdict not in ('exact', 'float32') or found <= VALUE['float32']:
        return dataclasses.replace(reading, measured=found)
    said = f'measured here it differs by {found:.1e}, where the table has it {WORDS[reading.verdict]}'
    return dataclasses.replace(reading, measured=found, verdict='nearest', differences=(*reading.differences, said))


def compare_worlds(plan: Plan, to: str) -> list[Row]:
    """Every loss that was written against the reference, in the world that it goes to: values and gradients.

    In Keras on the backend of KERAS_BACKEND, else on the first that is installed; [] where none is.
    """
    frameworks = [name for name in installed_frameworks() if name.startswith('keras') == (to == 'keras')]
    wanted = f'keras_{os.environ.get("KERAS_BACKEND", "")}'
    frameworks = [name for name in frameworks if name == wanted] or frameworks[:1]
    specs: dict[str, LossSpec] = {}
    for _, items in plan.outputs:
        for spec in (spec for migrated in items for spec in parts_of(migrated)):
            if spec not in specs.values():
                twins = sum(name.split(' ')[0] == type(spec).__name__ for name in specs)
                specs[type(spec).__name__ + (f' {twins + 1}' if twins else '')] = spec
    if not frameworks or not specs:
        return []
    return check_parity(configs=specs, frameworks=frameworks, ways=('plain', 'fused', 'eager'))
