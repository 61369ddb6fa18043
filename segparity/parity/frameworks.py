"""The frameworks that a parity check runs in, each in a process of its own.

Keras takes one backend per process, JAX one precision, and TensorFlow must not be imported before PyTorch; so every
framework gets a worker: a child that answers calls of named functions with NumPy arrays until its input ends.
"""

import contextlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, Any, Self, cast

import numpy as np

BOTH = ('float32', 'float64')
# float64 on JAX checks definitions: compiled as written, in a fifth of the time; float32 is compiled as users' is
FAST_TO_COMPILE = (
    '--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_llvm_disable_expensive_passes=true '
    '--xla_cpu_parallel_codegen_split_count=1'
)
PATIENCE = 30  # seconds
FRAMEWORKS: dict[str, dict[str, Any]] = {
    'torch': dict(needs=('torch',), extra='torch', backend=None, precisions=BOTH),  # with MMSegmentation where it is
    'keras_tensorflow': dict(
        needs=('keras', 'tensorflow'), extra='keras,tensorflow', backend='tensorflow', precisions=BOTH
    ),
    'keras_jax': dict(needs=('keras', 'jax'), extra='keras,jax', backend='jax', precisions=('float32',)),
    'keras_jax_x64': dict(needs=('keras', 'jax'), extra='keras,jax', backend='jax', precisions=('float64',)),
    'keras_torch': dict(needs=('keras', 'torch'), extra='keras,keras-torch', backend='torch', precisions=BOTH),
}


def missing_sentence(framework: str) -> str:
    """What has to be installed for ``framework``: '' if nothing, else one sentence."""
    about = FRAMEWORKS[framework]
    absent = [name for name in about['needs'] if importlib.util.find_spec(name) is None]
    if not absent:
        return ''
    return f"{framework} needs {', '.join(absent)}: pip install 'segparity[{about['extra']}]'"


def installed_frameworks() -> list[str]:
    """The frameworks that can run here."""
    return [name for name in FRAMEWORKS if not missing_sentence(name)]


class WorkerError(RuntimeError):
    """A call that failed in a worker; the message is the worker's own error with its type."""


class Worker:
    """A child process in which one framework is loaded; ``call`` runs a function there. extra: of its environment."""

    def __init__(self, framework: str, **extra: str) -> None:
        self.framework = framework
        about = FRAMEWORKS[framework]
        environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL='3')
        if about['backend']:
            environment['KERAS_BACKEND'] = about['backend']
            environment.setdefault('CUDA_VISIBLE_DEVICES', '')  # PyTorch uses a GPU where it is told to
        if about['backend'] == 'jax':
            environment['JAX_ENABLE_X64'] = '1' if 'float64' in about['precisions'] else '0'
            if 'float64' in about['precisions']:
                environment['XLA_FLAGS'] = f'{FAST_TO_COMPILE} {os.environ.get("XLA_FLAGS", "")}'.strip()
            environment.setdefault('JAX_PLATFORMS', 'cpu')
        environment.update(extra)
        environment['PYTHONPATH'] = os.pathsep.join(p or os.getcwd() for p in sys.path)
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'segparity.parity.worker'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if os.environ.get('SEGPARITY_QUIET_WORKERS', '1') == '1' else None,
            env=environment,
        )
        if self.process.stderr is not None:
            self.errors: list[str] = []
            threading.Thread(target=self._collect_errors, daemon=True).start()

    def _collect_errors(self) -> None:
        with cast(IO[bytes], self.process.stderr) as stream:
            for line in stream:
                self.errors = [*self.errors[-50:], line.decode(errors='replace')]

    def call(
        self, function: str, arrays: Mapping[str, np.ndarray | None] | None = None, **arguments: Any
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """``module:function`` called in the worker with ``arguments`` (JSON) and ``arrays`` (name -> ndarray).

        Returns (JSON result, name -> ndarray). Raises WorkerError with the worker's one sentence.
        """
        try:
            write_message(
                cast(IO[bytes], self.process.stdin), dict(function=function, arguments=arguments), arrays or {}
            )
            answer, arrays = read_message(cast(IO[bytes], self.process.stdout))
        except (BrokenPipeError, EOFError):
            tail = ''.join(getattr(self, 'errors', []))[-2000:]
            raise WorkerError(f'{self.framework}: the worker process ended\n{tail}') from None
        if 'error' in answer:
            raise WorkerError(answer['error'])
        return answer['result'], arrays

    def close(self) -> None:
        """Ends the child by ending its input, and by force where it is still there after half a minute."""
        with contextlib.suppress(BrokenPipeError):  # of a worker that has ended, which its caller was told
            cast(IO[bytes], self.process.stdin).close()
        try:
            self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        cast(IO[bytes], self.process.stdout).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_message(stream: IO[bytes], header: Mapping[str, Any], arrays: Mapping[str, np.ndarray | None]) -> None:
    """Header and arrays as one length-prefixed npz (no pickles)."""
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    given: dict[str, Any] = {'array_' + name: value for name, value in arrays.items() if value is not None}
    np.savez(buffer, header=text, **given)
    data = buffer.getvalue()
    stream.write(len(data).to_bytes(8, 'little') + data)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(header, name -> ndarray) of what ``write_message`` wrote; EOFError where the stream ends before that does."""
    size = stream.read(8)
    if len(size) < 8:
        raise EOFError
    content = stream.read(int.from_bytes(size, 'little'))
    if len(content) < int.from_bytes(size, 'little'):
        raise EOFError
    with np.load(io.BytesIO(content), allow_pickle=False) as data:
        header = json.loads(data['header'].tobytes().decode())
        return header, {name[6:]: data[name] for name in data.files if name.startswith('array_')}
