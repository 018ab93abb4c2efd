"""The words of the `prompts/` folder: what a model is told, and the fixed sentences the bot says, as Jinja2 templates."""

from __future__ import annotations

import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateSyntaxError

from bot.errors import SettingsError


class Prompts:
    """All templates of a folder, read once.

    Raises:
        SettingsError: there are none, or one cannot be read; names its file and line.
    """

    def __init__(self, folder: Path) -> None:
        environment = Environment(
            loader=FileSystemLoader(folder), undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
        )
        digest = hashlib.sha256()
        self._templates: dict[str, Template] = {}
        for path in sorted(folder.glob("*.j2")):
            try:
                digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
                self._templates[path.stem] = environment.get_template(path.name)
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
