"""The numbers of the demo, in one place, and the fingerprints that say whether an earlier run may be used again."""

import dataclasses
import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any, Self

from shared_spec.files import replacing

DIGITS = (0, 1, 4, 7)
CLASSES = ('background', '0', '1', '4', '7')
NUM_CLASSES = len(CLASSES)
# After Okabe and Ito: told apart with every common kind of colour blindness.
PALETTE = ((46, 52, 64), (230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167))
IGNORE = 255
# The images' mean and deviation, and the optimiser's constants; the MMSegmentation config says the same numbers.
MEAN, STD = 127.5, 64.0
BETAS, EPSILON = (0.9, 0.999), 1e-8
Q = (1, 5)
CONFIG = 'digits_unet_jaccard_metric.py'
MARKER = 'segparity-demo.json'
LOSSES = (('WeightedCrossEntropyLoss', 0.25), ('JaccardMetricLoss', 0.75))
STEP_0_TOLERANCE = 1e-5  # between the two worlds' first losses
SAME_TOLERANCE = 1e-5  # between implementations on the same predictions, losses and metrics (fractions) alike
LEARNED = 0.8  # mIoU^D of a model that has clearly learned


class DemoError(Exception):
    """Something that stops the demo, told in one sentence."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What determines the result. The defaults are tuned for two cores and five minutes."""

    seed: int = 7
    train_scenes: int = 800
    val_scenes: int = 100
    side: int = 64
    base_channels: int = 16
    iterations: int = 400
    batch: int = 8
    peak_lr: float = 6e-3
    weight_decay: float = 0.01
    val_every: int = 50

    def __post_init__(self) -> None:
        if self.iterations % self.val_every:
            raise DemoError(f'{self.iterations} iterations cannot be cut into parts of {self.val_every}')

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def data(self) -> dict[str, int]:
        """The part that determines the images."""
        return {key: getattr(self, key) for key in ('seed', 'train_scenes', 'val_scenes', 'side')}

    @classmethod
    def for_iterations(cls, iterations: int) -> Self:
        """Settings with about this many iterations: rounded up to tens, validated at least every fifty."""
        iterations = max(10, -(-iterations // 10) * 10)
        return cls(iterations=iterations, val_every=max(n for n in (10, 20, 30, 40, 50) if iterations % n == 0))

    @classmethod
    def read(cls, out: str | Path) -> Self:
        """The settings that the demo wrote into its folder; the trainers start here."""
        return cls(**json.loads((Path(out) / MARKER).read_text())['settings'])


def fingerprint(*parts: Any) -> str:
    """A short hash of JSON-able parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def code_digest(*packages: str) -> str:
    """A hash of the packages' Python files: an edited loss must not meet the results of the old one."""
    digest = hashlib.sha256()
    for package in packages:
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec else ():
            for path in sorted(Path(root).rglob('*.py')):
                digest.update(path.relative_to(root).as_posix().encode() + b'\0' + path.read_bytes())
    return digest.hexdigest()[:16]


def file_digest(*paths: Path) -> str:
    """A hash of the contents of files."""
    return hashlib.sha256(b''.join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()[:16]


def config_path() -> Path:
    """The MMSegmentation config: inside the installed package, or in the repository beside it."""
    package = Path(__file__).resolve().parents[1]
    for root in (package, package.parent):
        path = root / 'configs' / 'demo' / CONFIG
        if path.is_file():
            return path
    raise DemoError(f'configs/demo/{CONFIG} is missing from this installation')


def write_json(path: str | Path, value: Any) -> None:
    """Indented; a killed process leaves the old file or the new one, never half of it."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=1))


def read_json(path: str | Path) -> Any:
    """The JSON value of a file, or None where there is none that can be read."""
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return None
