"""charlm: train, use and understand recurrent networks that read text character by character."""

__version__ = "0.1.0"
