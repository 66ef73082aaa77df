"""Prompts: a window of passages as text, token ids and chat messages."""

from .builder import BuiltPrompt, PromptBuilder
from .exact_prompts import encode, render
from .message_style import MessageStyle
from .styles import STYLES, PromptStyle, get_style, window_style

__all__ = [
    "STYLES",
    "BuiltPrompt",
    "MessageStyle",
    "PromptBuilder",
    "PromptStyle",
    "encode",
    "get_style",
    "render",
    "window_style",
]
