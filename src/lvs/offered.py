"""What the other director offers, and this one's file: it is judged, laid beside it, put in its place.

Whatever writes or reads the file runs in a thread, under the lock under which the daemon reads it.
"""

from __future__ import annotations

from hashlib import blake2b

from lvs.begin import ConfigFile
from lvs.config.load import format_of, load
from lvs.config.located import Severity
from lvs.errors import SystemFault
from lvs.inputs import ConfigLoaded
from lvs.io import install
from lvs.sync.messages import Install
from lvs.sync.version import Text, Version


def text_of(what: ConfigLoaded, content: bytes) -> Text:
    """A file that was read, as the two directors speak of it."""
    version = Version(what.config.serial_no, what.digest)
    return Text(version, content, str(format_of(what.file)))


def understood(file: ConfigFile, text: Text) -> ConfigLoaded:
    """A configuration that was found valid before; what has not changed since is not read again."""
    loaded = load(text.content, str(file.path), previous=file.loaded)
    assert loaded.config is not None
    return ConfigLoaded(str(file.path), text.version.digest, loaded.config, loaded.problems)


def examine(file: ConfigFile, text: Text) -> tuple[str, ...]:
    """What speaks against running this here; if nothing does, it is laid beside the file."""
    if problems := objections(file, text):
        return problems
    try:
        install.stage(file.path, text.content)
    except SystemFault as fault:
        return (str(fault),)
    return ()


def objections(file: ConfigFile, text: Text) -> tuple[str, ...]:
    """What speaks against running this here."""
    name = str(file.path)
    if text.language != format_of(name):
        return (f"its file is {name}, and this is an lvs.{text.language}: both need the same language",)
    if blake2b(text.content, digest_size=8).hexdigest() != text.version.digest:
        return ("what arrived is not what was sent",)
    loaded = load(text.content, name, previous=file.loaded, lacks=file.lacks)
    if loaded.config is None:
        errors = [one for one in loaded.problems if one.severity is Severity.ERROR]
        return tuple(map(str, errors))
    if loaded.config.serial_no != text.version.serial:
        return (f"it has serial_no {loaded.config.serial_no}, and was sent as {text.version.serial}",)
    return ()


def put(file: ConfigFile, command: Install) -> ConfigLoaded | str:
    """What the file is, once it holds this; why it does not, if it does not."""
    text = command.text
    digests = {text.version.digest}
    if command.expected is not None and not command.forced:  # what a person chose against is kept
        digests.add(command.expected.digest)

    def fits(content: bytes) -> bool:
        return blake2b(content, digest_size=8).hexdigest() in digests

    try:
        install.commit(file.path, text.content, fits, keep=command.forced, copy=command.copy)
    except SystemFault as fault:
        return str(fault)
    read = file.read(file.look())
    if isinstance(read, ConfigLoaded) and read.digest == text.version.digest:
        return read
    file.signature = ()  # it is to be read again
    return "its file was edited at the same time"
