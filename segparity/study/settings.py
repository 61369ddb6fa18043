"""The numbers of the study, in one place, and the hash that says whether a finished run may be used again."""

import dataclasses
from pathlib import Path
from typing import Any

from segparity.demo import network as demo_network
from segparity.demo import scenes
from segparity.demo.settings import code_digest, file_digest, fingerprint

MARKER = 'segparity-study.json'
RESULTS, PAGE = 'soft_labels.json', 'soft_labels.html'
Q = 10  # the worst case: the mean over this many per cent of the test images
UNCLEAR = 0.75  # a pixel is unclear where no class has this share
BINS = 20  # of the histogram of confidence
MAKING = ('annotators', 'brain', 'conditions', 'data', 'digits', 'judging', 'network', 'training')  # make the numbers


class StudyError(ValueError):
    """Something that stops the study, told in one sentence."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What determines a run beside its data, condition and seed. Tuned for two cores and ninety minutes."""

    iterations: int = 350
    batch: int = 8
    side: int = 64  # of a scene and of the crops of the slices
    base_channels: int = 12
    peak_lr: float = 3e-3
    weight_decay: float = 0.01
    train_scenes: int = 800
    test_scenes: int = 100
    annotators: int = 5
    data_seed: int = 7

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def code_fingerprint() -> str:
    """A hash of the code that makes the numbers: an edited loss must not meet the results of the old one."""
    here = Path(__file__)
    own = file_digest(here, *(here.with_name(f'{name}.py') for name in MAKING))
    shared = file_digest(*(Path(str(module.__file__)) for module in (demo_network, scenes)))
    return fingerprint(own, shared, code_digest('mmseg_plugin', 'shared_spec'))


def run_fingerprint(settings: Settings, code: str, data: str, condition: str, seed: int) -> str:
    """Says which training this is."""
    return fingerprint(settings.to_dict(), code, data, condition, seed)
