"""Prompts: a window of passages as text, token ids and chat messages."""

from .builder import BuiltPrompt, PromptBuilder, encode, render
from .styles import STYLES, PromptStyle, get_style

__all__ = ["STYLES", "BuiltPrompt", "PromptBuilder", "PromptStyle", "encode", "get_style", "render"]
