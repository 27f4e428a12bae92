from __future__ import annotations

from pathlib import Path

from lvs.io import trial


def test_a_unit_that_nobody_knows() -> None:
    state, restarts = trial.unit("lvs-is-no-such.service")
    assert state in ("inactive", "unknown")
    assert restarts == 0


def test_what_is_hidden(tmp_path: Path) -> None:
    changed, shipped = tmp_path / "upper", tmp_path / "shipped"
    for name, here, there in (
        ("issue", "mine", "theirs"),
        ("same", "equal", "equal"),
        ("new", "only here", ""),
        ("ssh/sshd_config.d/a.conf", "mine", "theirs"),
        ("lvs/lvs.toml", "mine", "theirs"),
        ("machine-id", "mine", ""),
        ("ssh/ssh_host_ed25519_key", "mine", "theirs"),
    ):
        for directory, content in ((changed, here), (shipped, there)):
            if content:
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                (directory / name).write_text(content)
    (shipped / "gone").write_text("removed here: overlayfs puts something in its place that is no file")
    (changed / "gone").symlink_to("/nowhere")
    assert sorted(trial.shadowed(changed, shipped)) == [
        "/etc/gone",
        "/etc/issue",
        "/etc/ssh/sshd_config.d/a.conf",
    ]
    assert list(trial.shadowed(tmp_path / "none", shipped)) == []
