"""A command whose options are each given once, but for those that are lists."""

from typing import Any

from typer.core import TyperCommand, TyperOption

from charlm.errors import UsageError


class Once(TyperCommand):
    """Typer would take the last value of an option that is given twice, and drop the others without a word."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 (the class depends on Typer's version)
        """Parse as ever. Raises `UsageError` for an option given twice, but for a list, and a flag that can only be set."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for option in (each for each in given if isinstance(each, TyperOption) and not ctx.resilient_parsing):
            can_differ = not option.multiple and (not option.is_flag or option.secondary_opts)
            if can_differ and given.count(option) > 1:
                raise UsageError(f"{max(option.opts, key=len)} was given twice, and has one value", "leave one of them out")
        return super().parse_args(ctx, args)
