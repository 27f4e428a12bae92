"""`lvsd`: what is typed becomes one subcommand's function, and what comes of that an exit code.

Commands that look at a running director ask its daemon over the socket and never touch the
kernel. Exit codes are `lvs.errors.Exit`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from lvs import subcommands
from lvs.errors import Exit, LvsError
from lvs.io import standard


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of the binary; errors become sentences and exit codes here and nowhere else."""
    if argv is None:
        argv = sys.argv[1:]
        standard.outlive_readers()
    if argv[:1] == ["pulse"] and len(argv) == 2 and argv[1].isdigit():  # the daemon's, not a person's
        from lvs import pulsing

        return pulsing.main(int(argv[1]))
    if argv == ["check-programs"]:  # the unit's
        from lvs.io import workshop

        return workshop.main()
    asked = subcommands.parser(argv).parse_args(argv)
    try:
        code = subcommands.run(asked)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a full disk is told of
    except LvsError as fault:
        print(f"lvsd: {fault}", file=sys.stderr)
        return int(fault.exit_code)
    except OSError as fault:  # standard output on a full disk, for one
        print(f"lvsd: {fault.strerror or fault}", file=sys.stderr)
        return int(Exit.FAILED)
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
