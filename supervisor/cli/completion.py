"""``callboard completion``: what a shell needs to complete commands and flags."""

from typing import Literal

__all__ = ["completion"]


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a script that completes commands and flags of callboard.

    bash: callboard completion bash > ~/.local/share/bash-completion/completions/callboard

    Parameters
    ----------
    shell
        Whose script.
    """
    from cyclopts import App  # noqa: PLC0415 - `--help` need not wait for these

    from supervisor.cli.main import make_app  # noqa: PLC0415

    app = make_app()
    if isinstance(app, App):
        print(app.generate_completion(shell=shell))
