"""How each world spells a spec: the names, the defaults, and the parameters that a configuration states."""

from shared_spec.parameters import REQUIRED, SpecError, unknown_parameter


class Dialects:
    """What a spec is to MMSegmentation and to Keras, read from its fields."""

    def _written(self, world):
        """The parameters that a configuration of ``world`` states: those off their default, and the ``always`` ones."""
        for name, field in self.parameters().items():
            default = field.metadata['keras_default'] if world == 'keras' else field.default
            if world in field.metadata['always'] or default is REQUIRED:
                yield name, field
            elif getattr(self, name) != field.metadata['allowed'].freeze(default):
                yield name, field

    def to_mmseg(self):
        """The MMSegmentation config dict; ``ignore_index`` always written out."""
        return {'type': type(self).__name__, **{name: self.thawed(name) for name, _ in self._written('mmseg')}}

    @classmethod
    def keras_names(cls):
        """Keras argument name -> parameter name."""
        return {f.metadata['keras_name'] or name: name for name, f in cls.parameters().items()}

    @classmethod
    def keras_defaults(cls):
        """Parameter name -> default of the Keras constructor, of those that have one."""
        defaults = {name: f.metadata['keras_default'] for name, f in cls.parameters().items()}
        return {name: value for name, value in defaults.items() if value is not REQUIRED}

    @classmethod
    def from_keras(cls, arguments):
        """The spec of a Keras constructor's arguments (``ignore_class`` for ``ignore_index``); Keras' defaults hold."""
        names = cls.keras_names()
        for name in arguments:
            if name not in names:
                raise unknown_parameter(cls.__name__, name, list(names))
        try:
            return cls(**{**cls.keras_defaults(), **{names[k]: v for k, v in arguments.items()}})
        except SpecError as error:
            keras_name = {name: word for word, name in names.items()}.get(error.parameter, error.parameter)
            raise error.renamed(parameter=keras_name) from None

    def to_keras(self):
        """The Keras constructor's keyword arguments; ``from_logits`` and ``ignore_class`` always written out."""
        return {f.metadata['keras_name'] or name: self.thawed(name) for name, f in self._written('keras')}

    def keras_arguments(self):
        """Every argument of the Keras constructor, for ``get_config``."""
        return {f.metadata['keras_name'] or name: self.thawed(name) for name, f in self.parameters().items()}
