"""``--verify``: a migration measured on probe tensors, the source's side and ours, as far as frameworks are installed."""

import dataclasses
import math
from collections.abc import Iterator

from segparity.migrate.items import Migrated, Output, Reading
from segparity.migrate.measure import measure
from segparity.migrate.plan import Plan, parts_of
from segparity.parity.check import check_spec
from segparity.parity.frameworks import installed_frameworks
from segparity.parity.tolerances import VALUE


def measured(plan: Plan) -> Plan:
    """The plan with what the source's own framework says of each item where it is installed.

    A reading that measures worse than its verdict says becomes a nearest one, with the sentence.
    """
    outputs = tuple(
        (output, tuple(measured_item(migrated, output) for migrated in losses)) for output, losses in plan.outputs
    )
    return dataclasses.replace(plan, outputs=outputs)


def measured_item(migrated: Migrated, output: Output) -> Migrated:
    readings = tuple(measured_reading(migrated, reading, output) for reading in migrated.readings)
    return dataclasses.replace(migrated, readings=readings)


def measured_reading(migrated: Migrated, reading: Reading, output: Output) -> Reading:
    found = measure(migrated.item, reading, output.context)
    if found is None:
        return reading
    allowed = {'exact': VALUE['float32'], 'float32': VALUE['float32']}.get(reading.verdict, math.inf)
    if found <= allowed:
        return dataclasses.replace(reading, measured=found)
    said = f'measured here it differs by {found:.1e} where the table has it {reading.verdict}'
    return dataclasses.replace(reading, measured=found, verdict='nearest', differences=(*reading.differences, said))


def compare_worlds(plan: Plan, to: str) -> Iterator[tuple[str, str, float, bool]]:
    """(loss, framework, worst difference, whether it is allowed) of every loss that was written, in the world it goes to."""
    frameworks = [name for name in installed_frameworks() if name.startswith('keras') == (to == 'keras')]
    specs = {str(spec.to_dict()): spec for _, items in plan.outputs for m in items for spec in parts_of(m)}
    for spec in specs.values():
        for framework in frameworks:
            row = check_spec(spec, framework)
            yield row.name, framework, max(row.value_error, row.grad_error), row.ok
