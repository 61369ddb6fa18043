"""``--preset``: the name of a public data set, or 'list'. The presets are read where one is asked for."""

import argparse
from typing import Any, NoReturn


class PresetOption(argparse.Action):
    """Takes the name of a preset; 'list' prints them and ends the command."""

    def __call__(
        self, parser: argparse.ArgumentParser, options: argparse.Namespace, name: Any, option: Any = None
    ) -> None:
        from segparity.evaluate.presets import find_preset

        if name == 'list':
            list_presets(parser)
        try:
            options.preset = find_preset(name)
        except ValueError as error:
            parser.error(str(error))


def list_presets(parser: argparse.ArgumentParser) -> NoReturn:
    """Prints name and title of each."""
    from segparity.evaluate.presets import presets

    width = max(map(len, presets()))
    print(''.join(f'{name:{width}}  {preset.title}\n' for name, preset in presets().items()), end='')
    parser.exit()
