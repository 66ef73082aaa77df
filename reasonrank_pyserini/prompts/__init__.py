"""Prompts: a window of passages to the text, the token ids and the messages that a model is given."""

from .builder import BuiltPrompt, PromptBuilder, encode, render
from .styles import STYLES, PromptStyle, get_style

__all__ = ["STYLES", "BuiltPrompt", "PromptBuilder", "PromptStyle", "encode", "get_style", "render"]
