"""Every module of ours, imported in full: PyInstaller finds what it bundles by reading.

Subcommands are imported by name where they are asked for (`lvs.subcommands`), so that it is here that
they are read; a test holds the list to what there is.
"""

from __future__ import annotations

import sys

# ruff: noqa: F401


def modules() -> str:
    """Import every module; how many there are. Errors: whatever one of them raises."""
    from lvs import (
        arguments,
        asking,
        begin,
        booting,
        changes,
        checks,
        commands,
        commits,
        completion,
        connections,
        consent,
        converging,
        coupling,
        courier,
        daemon,
        desk,
        director,
        errors,
        events,
        explain,
        fate,
        firewall,
        fitness,
        inputs,
        joining,
        keeper,
        letters,
        liaison,
        model,
        offered,
        offline,
        operators,
        outcomes,
        pair,
        pairstatus,
        partner,
        planning,
        preparing,
        protocol,
        pulling,
        pulsing,
        pushes,
        readiness,
        realserver,
        records,
        requests,
        rereading,
        roles,
        rollout,
        running,
        sharing,
        state,
        status,
        subcommands,
        telling,
        trials,
        update,
        upkeep,
        why,
    )
    from lvs.config import (
        across,
        build,
        check_types,
        check_values,
        global_options,
        judge,
        load,
        located,
        lvscf,
        needs,
        option,
        options,
        passages,
        render,
        serial,
        services,
        statements,
        toml,
        toml_lines,
        toml_syntax,
        unknown,
        values,
        virtual_options,
        whole,
    )
    from lvs.config import addresses as config_addresses
    from lvs.config import checking as config_checking
    from lvs.config import checks as config_checks
    from lvs.config import refusal as config_refusal
    from lvs.events import base, table
    from lvs.events import firstboot as firstboot_events
    from lvs.events import health as health_events
    from lvs.events import pair as pair_events
    from lvs.events import peer as peer_events
    from lvs.events import pulse as pulse_events
    from lvs.events import repository as repository_events
    from lvs.events import update as update_events
    from lvs.firstboot import decide, document, keys, netplan, network, nocloud, sources, wizard
    from lvs.firstboot import options as firstboot_options
    from lvs.firstboot import values as given_values
    from lvs.firstboot import words as firstboot_words
    from lvs.health import expiry, maintenance, marks, orders, roster, serving, shared, verdict, ward
    from lvs.health import load as dynamic_weight
    from lvs.io import (
        addresses,
        announce,
        asked,
        askers,
        backlog,
        bare,
        checking,
        child,
        control,
        converge,
        devices,
        disks,
        durable,
        echo,
        engine,
        entries,
        errands,
        failure,
        fetching,
        files,
        findings,
        git,
        git_program,
        heart,
        heartbeat,
        hooks,
        hostkey,
        install,
        journal,
        keyfile,
        laying,
        ledger,
        line,
        links,
        modules,
        neighbour,
        netlink,
        notes,
        pairfile,
        pairkey,
        peer,
        probation,
        probe,
        processes,
        programs,
        pulse,
        pusher,
        requirements,
        resync,
        rtnetlink,
        rtsocket,
        rtwire,
        runnable,
        secrets,
        sessions,
        signature,
        stalls,
        standard,
        strangers,
        streams,
        sysctls,
        systemd,
        trial,
        updates,
        vips,
        ways,
        wheel,
        workshop,
    )
    from lvs.io import firewall as kept_firewall
    from lvs.io import orders as kept_orders
    from lvs.kernel import (
        decode,
        desired,
        diff,
        dumped,
        encode,
        frames,
        outline,
        proc,
        refusal,
        service,
        stages,
        text,
        wire,
    )
    from lvs.kernel import entries as table_entries
    from lvs.kernel import firewall as ruleset
    from lvs.kernel import keys as kernel_keys
    from lvs.kernel import resync as retold
    from lvs.kernel import state as kernel_state
    from lvs.probes import (
        ber,
        dialogue,
        dns,
        exchange,
        expressions,
        http,
        http_answer,
        ipp,
        ldap,
        ldap_filter,
        lpd,
        mysql,
        postgresql,
        program,
        radius,
        scram,
        sip,
        talk,
        talks,
        tls,
    )
    from lvs.probes import load as load_monitor
    from lvs.pulse import hearing, speaking, tables, words
    from lvs.pulse import line as pulse_line
    from lvs.pulse import machine as pulse_machine
    from lvs.pulse import state as pulse_state
    from lvs.pulse import wire as pulse_wire
    from lvs.repository import central, history, packets, tree, wishes
    from lvs.repository import exchange as commits_exchange
    from lvs.sync import accepting, machine, messages, offering, turn, version
    from lvs.sync import state as sync_state
    from lvs.updating import archive, manifest, note, rolling, slots
    from lvs.updating import letters as update_letters
    from lvs.updating import version as updating_version

    return f"{sum(name.startswith('lvs.') for name in sys.modules)} imported"
