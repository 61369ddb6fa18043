"""Arguments of a script's losses and metrics: plain Python, losses in losses, or what is known only when it runs."""

from typing import Any

from segparity.migrate.items import Item, Place, Unread
from segparity.migrate.reading.json_text import is_finite
from segparity.migrate.reading.libraries import from_star, full_name, named
from segparity.migrate.reading.script_functions import Functions
from segparity.migrate.reading.values import Called, Class, Function, Reference

DEEP = 8  # lists in lists, losses in losses
ARRAYS = frozenset(
    'numpy.array numpy.asarray np.array np.asarray tensorflow.constant tensorflow.convert_to_tensor '
    'keras.backend.constant keras.backend.variable keras.ops.array keras.ops.convert_to_tensor torch.tensor '
    'torch.as_tensor torch.FloatTensor torch.Tensor torch.from_numpy numpy.float32 numpy.float64 tuple list'.split()
)
SAME = frozenset(
    'to cuda cpu float double numpy tolist half type astype requires_grad_'.split()
)  # methods of an array or loss
WORDS = {
    'Reduction.SUM': 'sum',
    'Reduction.NONE': 'none',
    'Reduction.AUTO': 'auto',
    'Reduction.SUM_OVER_BATCH_SIZE': 'sum_over_batch_size',
    'MULTICLASS_MODE': 'multiclass',
    'BINARY_MODE': 'binary',
    'MULTILABEL_MODE': 'multilabel',
}
WRAPPERS = frozenset(
    'tensorflow.function keras.losses.LossFunctionWrapper keras.metrics.MeanMetricWrapper functools.partial '
    'keras.losses.get keras.losses.deserialize keras.metrics.get keras.metrics.deserialize jax.jit'.split()
)


class Arguments(Functions):
    """Turns the arguments of a call into what an item holds."""

    def leaf(self, value: Any, place: Place, metric: bool = False, deep: int = DEEP) -> Any:
        raise NotImplementedError

    def own(
        self, function: Function, name: str, arguments: dict[str, Any], metric: bool, outer: Function | None = None
    ) -> Item:
        raise NotImplementedError

    def arguments(self, value: Called) -> dict[str, Any]:
        """The arguments of a constructor, those of a position under '0', '1', ..."""
        found = {str(i): self.argument(v, value.place) for i, v in enumerate(value.args)}
        places = getattr(value.kwargs, 'places', {})
        found |= {
            word: self.argument(v, places.get(word, value.place))
            for word, v in value.kwargs.items()
            if word not in {'name', 'dtype'} or not isinstance(v, str)
        }
        if value.starred:
            found['*'] = Unread('what * or ** brings is not known', value.place, value.text)
        return found

    def argument(self, value: Any, place: Place, deep: int = DEEP) -> Any:
        """Plain Python, an ``Item`` for a loss in a loss, or ``Unread``."""
        if deep <= 0:
            return Unread('it is nested too deeply', place)
        if isinstance(value, (list, tuple)):
            return [self.argument(inner, place, deep - 1) for inner in value]
        if isinstance(value, dict):
            return {str(key): self.argument(inner, place, deep - 1) for key, inner in value.items()}
        if isinstance(value, Called):
            return self.argument_called(value, place, deep)
        if isinstance(value, Function):
            return self.own(value, value.name, {}, metric=True)
        if isinstance(value, Reference):
            return self.argument_reference(value, place)
        if isinstance(value, Class):
            return Unread('it is a class', place, value.name)
        if isinstance(value, (int, float)) and not is_finite(value):
            return Unread('it is no finite number', place)
        return (
            value
            if isinstance(value, (str, int, float, bool, type(None), Unread))
            else Unread('it is no number, text or list', place, str(value)[:100])
        )

    def argument_called(self, value: Called, place: Place, deep: int) -> Any:
        name = full_name(value.name)
        if value.on is None and name in ARRAYS and value.args:
            return self.argument(value.args[0], place, deep - 1)
        if value.on is None and name.rpartition('.')[2] in {'ones', 'zeros'} and value.args and _count(value.args[0]):
            return [1.0 if name.endswith('ones') else 0.0] * _count(value.args[0])
        if value.name.startswith('.') and value.name[1:] in SAME and value.on is not None:
            return self.argument(value.on, place, deep - 1)
        if value.name.startswith('operator.') or (value.on is not None and value.target is None):
            return Unread('it is calculated when the source runs', value.place, value.text)
        if value.target is None and named(from_star(value.name, self.stars)) is None and name not in WRAPPERS:
            return Unread('it is calculated when the source runs', value.place, value.text)
        inner = self.leaf(value, place, deep=deep - 1)
        return (
            inner
            if isinstance(inner, (Item, Unread))
            else Unread('it is calculated when the source runs', value.place, value.text)
        )

    def argument_reference(self, value: Reference, place: Place) -> Any:
        for ending, word in WORDS.items():
            if value.name == ending or value.name.endswith(f'.{ending}'):
                return word
        found = named(from_star(value.name, self.stars)) if value.on is None else None
        if found is not None:
            return Item(found.library, found.name, {}, place, text=value.name)
        return Unread('it is known only when the source runs', place, value.name)


def _count(value: Any) -> int:
    """The length of an array of one dimension whose shape is given; 0 where it is not known or absurd."""
    value = value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 10_000 else 0
