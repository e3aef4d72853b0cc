"""The configuration: ``load`` turns a file, the environment and options into a ``Config``, or tells every mistake."""

from rtserver.config.environment import ignored_variables
from rtserver.config.loading import embedded, load
from rtserver.config.options import Config
from rtserver.config.problems import ConfigError, Problem
from rtserver.config.secrets import complete

__all__ = ["Config", "ConfigError", "Problem", "complete", "embedded", "ignored_variables", "load"]
