"""BoundaryMetric: boundary IoU and surface distances as an evaluator of MMSegmentation."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmseg.registry import METRICS

from mmseg_plugin.evaluation.base import ImageMetric
from mmseg_plugin.metrics.label_maps import to_integers
from shared_spec.checks import Choice, Each
from shared_spec.metrics.boundary import DISTANCES, BoundaryIoU, BoundaryState, SurfaceDistance
from shared_spec.metrics.boundary.missed_cells import missed_sentence
from shared_spec.metrics.label_map_spec import LabelMapSpec
from shared_spec.parameters import SpecError, check_parameter

NAMES = 'BoundaryIoU', *DISTANCES
SCORES = Each(Choice(*NAMES), f'a list of different names out of {str(NAMES)[1:-1]}', unique=True)


@METRICS.register_module()
class BoundaryMetric(ImageMetric):
    """Logs ``BoundaryIoUD``, ``HD95C``, ... ; parameters as in ``BoundaryIoU`` and ``SurfaceDistance``.

    BoundaryIoU is in per cent, HD, HD95 and ASSD (which need SciPy and have no level D) are in units of ``spacing``
    (pixels without it), and a class that is missed makes them inf: ``missed`` says how often, ``HD95C_rest`` is the mean of
    the others, and ``empty='diagonal'`` ranks models by all.
    Leave the distances out of ``metrics`` where time matters. How images are told apart, and what the files hold: see
    ``ImageMetric``.
    """

    def __init__(
        self,
        *,
        ignore_index: int | None = 255,
        levels: Sequence[str] = ('D', 'I', 'C'),
        metrics: Sequence[str] = ('BoundaryIoU', 'HD', 'HD95', 'ASSD'),
        ratio: float = 0.02,
        spacing: Sequence[float] | None = None,
        empty: str = 'inf',
        present_in: str = 'target',
        binary: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        output_dir: str | None = None,
        format_only: bool = False,
        keep_results: bool = False,
        per_image_file: str | None = None,
    ) -> None:
        owner = type(self).__name__
        metrics = check_parameter(owner, 'metrics', SCORES, metrics, hints=True)
        common: dict[str, Any] = dict(ignore_index=ignore_index, present_in=present_in, binary=binary)
        self._arguments: dict[type[LabelMapSpec], dict[str, Any]] = {}
        self._measuring: tuple[Sequence[Any], BoundaryState] | None = None  # the specs, and a state that stays empty
        if 'BoundaryIoU' in metrics:
            self._arguments[BoundaryIoU] = dict(common, levels=levels, ratio=ratio)
        distances = [metric for metric in metrics if metric in DISTANCES]
        if distances:
            of_distances = [level for level in levels if level != 'D']
            if not of_distances:
                raise SpecError(f"distances need level 'I' or 'C', got levels {list(levels)}", owner=owner)
            self._arguments[SurfaceDistance] = dict(
                common, levels=of_distances, metrics=distances, spacing=spacing, empty=empty
            )
        super().__init__(collect_device, prefix, output_dir, format_only, per_image_file)
        spec: Any
        for spec in self.specs_for(2):
            if getattr(spec, 'spacing', None) is not None and len(spec.spacing) != 2:
                rule = f'must have one number for each of the 2 spatial axes, got {len(spec.spacing)}'
                raise SpecError(rule, owner=owner, parameter='spacing', given=spec.spacing)

    def specs_for(self, num_classes: int) -> list[LabelMapSpec]:
        return [
            self.specs_of(kind, num_classes=num_classes, **arguments) for kind, arguments in self._arguments.items()
        ]

    def new_state(self) -> BoundaryState:
        return BoundaryState.for_specs(*self.specs)

    def remarks(self, state: BoundaryState) -> Iterable[str]:
        specs = [spec for spec in self.specs if isinstance(spec, SurfaceDistance)]
        return filter(None, (missed_sentence(state, spec, self.class_names) for spec in specs))

    def row(self, sample: Mapping[str, Any]) -> tuple[Any, ...]:
        pred, target = (to_integers(ids).cpu().numpy() for ids in self.maps(sample))
        pred, target = (ids[0] if ids.ndim == 3 and len(ids) == 1 else ids for ids in (pred, target))
        if self._measuring is None or self._measuring[0] is not self.specs:
            self._measuring = self.specs, self.new_state()
        return self._measuring[1].row(pred, target)
