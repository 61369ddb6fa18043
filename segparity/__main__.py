"""``python -m segparity``."""

import sys

from segparity.cli import main

if __name__ == '__main__':
    sys.exit(main())
