"""The two worlds: what each needs, what of it is installed, and how to install the rest."""

import dataclasses
import importlib.metadata
import importlib.util
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from segparity.demo.settings import DemoError, code_digest, config_path, file_digest, fingerprint

BACKENDS = ('torch', 'jax', 'tensorflow')  # the fastest on this job first
BACKEND_TITLES = {'torch': 'PyTorch', 'jax': 'JAX', 'tensorflow': 'TensorFlow'}
# The demo's own modules that a training depends on; the others only show what it did.
TRAINING = 'settings network scenes dataset child mmseg_parts train_mmseg keras_unet keras_parts train_keras'.split()
DISTRIBUTIONS = {
    'torch': ('torch',),
    'mmseg': ('mmsegmentation',),
    'mmcv': ('mmcv', 'mmcv-lite'),
    'tensorflow': ('tensorflow', 'tensorflow-cpu'),
}


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def version(module: str) -> str:
    """The version of the distribution that gives a module, '' where nobody knows."""
    for name in DISTRIBUTIONS.get(module, (module,)):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ''


@dataclasses.dataclass(frozen=True)
class World:
    """One framework with segparity's plugin: ``missing`` names the modules that keep it from running."""

    name: str
    title: str
    plugin: str
    modules: tuple[str, ...]
    missing: tuple[str, ...]
    pip: str
    backend: str = ''
    wanted: bool = True

    @property
    def runs(self) -> bool:
        return self.wanted and not self.missing

    @property
    def long_title(self) -> str:
        return f'{self.title} ({BACKEND_TITLES[self.backend]})' if self.backend else self.title

    @property
    def sentence(self) -> str:
        """Why this world does not run, and the command that mends it."""
        if not self.wanted:
            return f'{self.title} was left out; without --worlds both run.'
        names = ' and '.join(filter(None, [', '.join(self.missing[:-1]), self.missing[-1]]))
        verb = 'is' if len(self.missing) == 1 else 'are'
        return f'{self.title} did not run, because {names} {verb} not installed: {self.pip}'

    def versions(self) -> dict[str, str]:
        """Module -> version, of those whose version is known."""
        return {module: version(module) for module in self.modules if version(module)}

    def fingerprint(self, *parts: Any) -> str:
        """Says whether an earlier result of this world may be used again."""
        own = [Path(__file__).with_name(f'{name}.py') for name in TRAINING]
        code = code_digest('shared_spec', self.plugin), file_digest(*own, config_path())
        return fingerprint(self.name, self.backend, self.versions(), code, *parts)


def keras_backend() -> str | None:
    """KERAS_BACKEND where it is set, else the fastest backend installed, else None."""
    chosen = os.environ.get('KERAS_BACKEND')
    if not chosen:
        return next((name for name in BACKENDS if installed(name)), None)
    if chosen not in BACKENDS:
        raise DemoError(f'KERAS_BACKEND={chosen} cannot train: choose one of {", ".join(BACKENDS)}')
    return chosen


def mmseg_world() -> World:
    modules = ('torch', 'mmengine', 'mmcv', 'mmseg')
    missing = tuple(name for name in modules if not installed(name))
    pip = "pip install 'segparity[mmseg,mmcv-lite,demo]'"
    return World('mmseg', 'MMSegmentation', 'mmseg_plugin', modules, missing, pip)


def keras_world() -> World:
    backend = keras_backend()
    missing = [] if installed('keras') else ['keras']
    if backend is None:
        missing.append('a backend (torch, jax or tensorflow)')
    elif not installed(backend):
        missing.append(backend)
    extras: dict[str | None, str] = {'torch': 'keras-torch', 'tensorflow': 'tensorflow-cpu'}
    extra = extras.get(backend, backend) or 'keras-torch'
    pip = f"pip install 'segparity[keras,{extra},demo]'"
    return World(
        'keras',
        'Keras',
        'keras_plugin',
        ('keras', backend) if backend else ('keras',),
        tuple(missing),
        pip,
        backend or '',
    )


def find_worlds(names: Collection[str]) -> list[World]:
    """Both worlds, wanted or not, installed or not; DemoError when none can run."""
    worlds = [dataclasses.replace(world, wanted=world.name in names) for world in (mmseg_world(), keras_world())]
    if not any(world.runs for world in worlds):
        raise DemoError('; '.join(world.sentence for world in worlds if world.wanted))
    return worlds
