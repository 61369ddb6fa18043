"""The text of the error that a call raises."""


def message(call, *arguments, **params):
    try:
        call(*arguments, **params)
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    return 'nothing raised'
