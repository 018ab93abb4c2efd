"""The words of the `prompts/` folder: what a model is told, and the fixed sentences the bot says, as Jinja2 templates."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined, Template, TemplateSyntaxError, UndefinedError

from bot.errors import SettingsError


class Prompts:
    """All templates of a folder, read once.

    Args:
        compiled: where what was compiled is kept, so that the next start need not compile it again; where it cannot be kept, it is not.
    Raises:
        SettingsError: there are none, or one cannot be read; names its file and line.
    """

    def __init__(self, folder: Path, compiled: Path | None = None) -> None:
        environment = Environment(
            loader=FileSystemLoader(folder), undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True,
            bytecode_cache=_kept(compiled),
        )  # fmt: skip
        digest = hashlib.sha256()
        self._templates: dict[str, Template] = {}
        for path in sorted(folder.rglob("*.j2")):
            try:
                name = path.relative_to(folder).as_posix()
                digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
                self._templates[name.removesuffix(".j2")] = environment.get_template(name)
            except TemplateSyntaxError as error:
                raise SettingsError(f"prompts/{path.name}, line {error.lineno}: {error.message}. Correct the template.") from None
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"prompts/{path.name} cannot be read ({type(error).__name__}). Save it as UTF-8 text.") from None
        if not self._templates:
            raise SettingsError(f"There is no template in the folder {folder.name}/. Put the folder that came with the program back.")
        self.version = digest.hexdigest()[:12]
        """Changes with any letter of any template."""

    def render(self, name: str, /, **values: object) -> str:
        """The template `name`, or with "name.block" only that `{% block %}` of it, without white space around. Values are never templates.

        Raises:
            KeyError: there is no such template or block. jinja2.UndefinedError: a value that it uses is not given.
        """
        file, _, block = name.partition(".")
        template = self._templates[file]
        if not block:
            return template.render(values).strip()
        return "".join(template.blocks[block](template.new_context(values))).strip()

    def say(self, name: str, language: str = "en", of: str = "say", /, **values: object) -> str:
        """A fixed sentence in a language (`say/<code>.j2`), in English where that language has none. `of`: the template that has it."""
        own = self._templates.get(f"{of}/{language}")
        return self.render(f"{of}/{language}.{name}" if own is not None and name in own.blocks else f"{of}.{name}", **values)

    def phrases(self, *of: str) -> list[str]:
        """All fixed sentences of some templates that take no value, in every language."""
        result = []
        for name, template in self._templates.items():
            if name.partition("/")[0] in of:
                for block in template.blocks:
                    with contextlib.suppress(UndefinedError):
                        result.append(self.render(f"{name}.{block}"))
        return result


def _kept(folder: Path | None) -> FileSystemBytecodeCache | None:
    if folder is None:
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return FileSystemBytecodeCache(str(folder)) if os.access(folder, os.W_OK) else None
