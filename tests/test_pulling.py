"""A director that follows a central repository: real git, no kernel."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lvs import pulling
from lvs.errors import ConfigError, SystemFault
from lvs.io.git import Git
from lvs.io.git_program import GitFault
from lvs.protocol import RollbackRequest
from pushing import Copy
from test_changes import director, text

pytestmark = pytest.mark.native


def test_what_was_pushed_there_runs_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    central, file = tmp_path / "central.git", tmp_path / "pull.toml"
    file.write_text(f'url = "file://{central}"\n')

    async def run() -> None:
        async with director(tmp_path) as (one, copy):

            async def pulled() -> tuple[int, str]:
                code = await asyncio.to_thread(pulling.pull, one.keeper.git, file, one.place)
                told = capsys.readouterr()
                return code, told.out + told.err

            with pytest.raises(GitFault, match="git fetch: "):
                await pulled()
            await copy.git("clone", "--quiet", "--bare", str(one.repository), str(central))
            away = Copy(copy.place, central)
            await away.git("remote", "set-url", "origin", str(central))
            assert (await pulled()) == (0, f"file://{central}: nothing new\n")
            commit = await away.commit(text(2, weight=5))
            await away.push()
            code, said = await pulled()
            assert code == 0
            assert "-w 5" in said
            assert (one.keeper.tip, one.weight) == (commit, 5)
            await one.changes.rollback(RollbackRequest(), "root")
            await away.commit(text(4, weight=6))
            await away.push()
            code, said = await pulled()
            assert code == 2
            assert "it does not contain commit" in said
            assert one.weight == 1
            await away.commit(text(5, weight=-1))
            await away.push()
            code, said = await pulled()
            assert code == 2
            assert "0 to 65535, got -1" in said

    asyncio.run(run())


def test_what_is_wrong_with_the_file_is_said_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "pull.toml"
    with pytest.raises(SystemFault, match=r"cannot read .*docs/git.md has an example"):
        pulling.read(file)
    file.write_text('# from there\nurl = "ftp://x/y"\nbrunch = "x"\n')
    with pytest.raises(ConfigError) as caught:
        pulling.read(file)
    first, second = caught.value.problems
    assert str(first).startswith(f"{file}:2: url: ssh://")
    assert str(second).startswith(f"{file}:3: brunch: there is no such key")
    file.write_text("url = [")
    with pytest.raises(ConfigError):
        pulling.read(file)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    key = tmp_path / "key"
    key.write_text("")
    key.chmod(0o644)
    file = tmp_path / "pull.toml"
    file.write_text(f'url = "ssh://a/b"\nknown_hosts = "/etc/k"\nssh_key = "{key}"\n')
    with pytest.raises(SystemFault, match="is to belong to user lvs alone"):
        pulling.fetch(Git(tmp_path), pulling.read(file))
