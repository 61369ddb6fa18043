"""The child of ``segparity.parity.frameworks.Worker``: reads calls from standard input, answers on standard output."""

import importlib
import os
import sys
import traceback

from segparity.parity.frameworks import read_message, write_message


def main() -> None:
    answers = os.fdopen(os.dup(1), 'wb')
    os.dup2(2, 1)  # whatever a framework prints must not mix with the answers
    while True:
        try:
            request, arrays = read_message(sys.stdin.buffer)
        except EOFError:
            os._exit(0)  # nothing is left to write, and what a framework tears down takes seconds
        module, _, name = request['function'].partition(':')
        try:
            result, out = getattr(importlib.import_module(module), name)(arrays, **request['arguments'])
            write_message(answers, dict(result=result), out)
        except Exception as error:
            if os.environ.get('SEGPARITY_TRACEBACK'):
                traceback.print_exc()
            write_message(answers, dict(error=f'{type(error).__name__}: {error}'), {})


if __name__ == '__main__':
    main()
